(** The expectation under N(0, 1): an improper Riemann integral, and what it is worth for the functions of the theory.

    [E1 f] is the integral of [f(x) exp(-x^2/2)] over the line, divided by that of [exp(-x^2/2)], which is [sqrt(2 pi)]
    ([gauss_integral] in GaussianValue.v). It is defined for every [f]; the lemmas are about functions that grow at most like
    [exp(B |x|)] and are as smooth as [tame1] says. *)

From Coq Require Import Reals Lra Lia Psatz FunctionalExtensionality.
From Coquelicot Require Import Coquelicot.
From Singdiffusion Require Import Base.
Local Open Scope R_scope.

(** ** Improper integrals over the line *)

Definition RI (f : R -> R) : R := real (Lim_seq (fun n => RInt f (- INR n) (INR n))).

(** Continuous, and below [K exp(-|x|)] *)
Definition adm (f : R -> R) : Prop :=
  (forall x, continuous f x) /\ exists K, 0 <= K /\ forall x, Rabs (f x) <= K * exp (- Rabs x).

Lemma cont_ex_RInt (f : R -> R) a b : (forall x, continuous f x) -> ex_RInt (V := R_NormedModule) f a b.
Proof. intros H. apply (ex_RInt_continuous (V := R_CompleteNormedModule)). intros; apply H. Qed.

Lemma RInt_exp_opp K u v : RInt (fun x => K * exp (- x)) u v = K * (exp (- u) - exp (- v)).
Proof.
  apply is_RInt_unique. replace (K * (exp (- u) - exp (- v))) with (- K * exp (- v) - (- K * exp (- u))) by ring.
  apply (is_RInt_derive (fun x => - K * exp (- x))).
  - intros x _. auto_derive; auto. ring.
  - intros x _. apply (ex_derive_continuous (fun x => K * exp (- x))). auto_derive. auto.
Qed.

Lemma RInt_exp_pos K u v : RInt (fun x => K * exp x) u v = K * (exp v - exp u).
Proof.
  apply is_RInt_unique. replace (K * (exp v - exp u)) with (K * exp v - K * exp u) by ring.
  apply (is_RInt_derive (fun x => K * exp x)).
  - intros x _. auto_derive; auto. ring.
  - intros x _. apply (ex_derive_continuous (fun x => K * exp x)). auto_derive. auto.
Qed.

Lemma RInt_abs_le (f g : R -> R) a b : a <= b -> (forall x, continuous f x) -> (forall x, continuous g x) ->
  (forall x, a <= x <= b -> Rabs (f x) <= g x) -> Rabs (RInt f a b) <= RInt g a b.
Proof.
  intros Hab Hf Hg H. change (Rabs (RInt f a b)) with (norm (RInt f a b)).
  apply (norm_RInt_le f g a b (RInt f a b) (RInt g a b)); auto;
    apply (RInt_correct (V := R_CompleteNormedModule)), cont_ex_RInt; auto.
Qed.

Section Domination.
Variable f : R -> R.
Variable K : R.
Hypothesis Hc : forall x, continuous f x.
Hypothesis HK : 0 <= K.
Hypothesis Hd : forall x, Rabs (f x) <= K * exp (- Rabs x).

Lemma tail_right M u v : M <= u -> 0 <= u -> u <= v -> Rabs (RInt f u v) <= K * exp (- M).
Proof.
  intros HM Hu Huv. eapply Rle_trans; [apply (RInt_abs_le f (fun x => K * exp (- x))); auto|].
  - intros x. apply (ex_derive_continuous (fun x => K * exp (- x))). auto_derive; auto.
  - intros x Hx. rewrite <- (Rabs_right x) at 2 by lra. apply Hd.
  - rewrite RInt_exp_opp. apply Rmult_le_compat_l; auto. pose proof (exp_pos (- v)).
    assert (exp (- u) <= exp (- M)) by (apply exp_le_mono; lra). lra.
Qed.

Lemma tail_left M u v : v <= - M -> v <= 0 -> u <= v -> Rabs (RInt f u v) <= K * exp (- M).
Proof.
  intros HM Hu Huv. eapply Rle_trans; [apply (RInt_abs_le f (fun x => K * exp x)); auto|].
  - intros x. apply (ex_derive_continuous (fun x => K * exp x)). auto_derive; auto.
  - intros x Hx. specialize (Hd x). rewrite (Rabs_left1 x) in Hd by lra. rewrite Ropp_involutive in Hd. exact Hd.
  - rewrite RInt_exp_pos. apply Rmult_le_compat_l; auto. pose proof (exp_pos u).
    assert (exp v <= exp (- M)) by (apply exp_le_mono; lra). lra.
Qed.

(** Two long intervals differ by the tails. *)
Lemma long_intervals M a b a' b' : 0 <= M -> a <= - M -> a' <= - M -> M <= b -> M <= b' ->
  Rabs (RInt f a b - RInt f a' b') <= 2 * K * exp (- M).
Proof.
  intros HM Ha Ha' Hb Hb'.
  assert (X : forall u v, ex_RInt f u v) by (intros; apply cont_ex_RInt; auto).
  assert (E : RInt f a b - RInt f a' b' = RInt f a a' + RInt f b' b).
  { rewrite <- (RInt_Chasles f a a' b), <- (RInt_Chasles f a' b' b) by auto. unfold plus; simpl. ring. }
  rewrite E. eapply Rle_trans; [apply Rabs_triang|].
  assert (R1 : Rabs (RInt f a a') <= K * exp (- M)).
  { destruct (Rle_dec a a'); [apply tail_left; lra|]. rewrite <- (opp_RInt_swap f a' a) by auto.
    unfold opp; simpl. rewrite Rabs_Ropp. apply tail_left; lra. }
  assert (R2 : Rabs (RInt f b' b) <= K * exp (- M)).
  { destruct (Rle_dec b' b); [apply tail_right; lra|]. rewrite <- (opp_RInt_swap f b b') by auto.
    unfold opp; simpl. rewrite Rabs_Ropp. apply tail_right; lra. }
  lra.
Qed.

Lemma exp_neg_small eps : 0 < eps -> exists N : nat, 2 * K * exp (- INR N) < eps.
Proof.
  intros He. destruct (nfloor_ex (Rabs (2 * K / eps))) as [N [_ HN]]; [apply Rabs_pos|].
  exists (S N). rewrite S_INR. set (n := INR N + 1) in *.
  assert (Hn : 0 < n) by (unfold n; pose proof (pos_INR N); lra).
  assert (2 * K < eps * n).
  { assert (0 <= 2 * K / eps) by (apply Rdiv_le_0_compat; lra). rewrite Rabs_right in HN by lra.
    apply Rmult_lt_compat_r with (r := eps) in HN; auto. unfold Rdiv in HN.
    rewrite Rmult_assoc, Rinv_l in HN; lra. }
  assert (n < exp n) by (pose proof (exp_ge n); lra).
  rewrite exp_Ropp. apply Rmult_lt_reg_r with (exp n); [apply exp_pos|].
  rewrite Rmult_assoc, Rinv_l by (apply Rgt_not_eq, exp_pos). rewrite Rmult_1_r.
  apply Rlt_trans with (eps * n); auto. apply Rmult_lt_compat_l; auto.
Qed.

Lemma RI_is_lim : is_lim_seq (fun n => RInt f (- INR n) (INR n)) (RI f).
Proof.
  assert (H : ex_finite_lim_seq (fun n => RInt f (- INR n) (INR n))).
  { apply ex_lim_seq_cauchy_corr. intros eps. destruct (exp_neg_small eps (cond_pos eps)) as [N HN].
    exists N. intros n m Hn Hm. eapply Rle_lt_trans; [|exact HN].
    apply (long_intervals (INR N)); try (apply pos_INR); try (apply Ropp_le_contravar); apply le_INR; auto. }
  unfold RI. destruct H as [l Hl]. rewrite (is_lim_seq_unique _ _ Hl). exact Hl.
Qed.

(** The integral over [a, b] differs from that over the line by the tails: this is convergence at both ends, independently. *)
Lemma RI_tail M a b : 0 <= M -> a <= - M -> M <= b -> Rabs (RInt f a b - RI f) <= 2 * K * exp (- M).
Proof.
  intros HM Ha Hb. pose proof RI_is_lim as L. apply is_lim_seq_spec in L.
  apply le_epsilon. intros eps He. destruct (L (mkposreal eps He)) as [N HN]; simpl in HN.
  destruct (nfloor_ex M HM) as [M' [_ HM']].
  set (n := Nat.max N (S M')). assert (HnM : M <= INR n).
  { apply Rle_trans with (INR (S M')); [rewrite S_INR; lra|]. apply le_INR. unfold n. lia. }
  specialize (HN n). assert (Rabs (RInt f (- INR n) (INR n) - RI f) < eps) by (apply HN; unfold n; lia).
  assert (Rabs (RInt f a b - RInt f (- INR n) (INR n)) <= 2 * K * exp (- M)) by (apply long_intervals; lra).
  replace (RInt f a b - RI f) with ((RInt f a b - RInt f (- INR n) (INR n)) + (RInt f (- INR n) (INR n) - RI f)) by ring.
  eapply Rle_trans; [apply Rabs_triang|lra].
Qed.
End Domination.

Lemma adm_lim f : adm f -> is_lim_seq (fun n => RInt f (- INR n) (INR n)) (RI f).
Proof. intros [Hc [K [HK Hd]]]. apply (RI_is_lim f K); auto. Qed.

(** It is the improper integral in the usual sense: both ends go to infinity independently. *)
Lemma RI_improper f : adm f -> is_RInt_gen f (Rbar_locally m_infty) (Rbar_locally p_infty) (RI f).
Proof.
  intros [Hc [K [HK Hd]]]. intros P [eps HP].
  destruct (exp_neg_small K HK eps (cond_pos eps)) as [N HN].
  exists (fun a => a < - INR N) (fun b => INR N < b); [exists (- INR N); auto|exists (INR N); auto|].
  intros a b Ha Hb. exists (RInt f a b). split; [apply (RInt_correct (V := R_CompleteNormedModule)), cont_ex_RInt; auto|].
  apply HP. change (Rabs (RInt f a b - RI f) < eps).
  eapply Rle_lt_trans; [apply (RI_tail f K Hc HK Hd (INR N)); auto; try lra; apply pos_INR|exact HN].
Qed.

Lemma RI_unique f l : is_lim_seq (fun n => RInt f (- INR n) (INR n)) (Finite l) -> RI f = l.
Proof. intros H. unfold RI. rewrite (is_lim_seq_unique _ _ H). reflexivity. Qed.

Lemma RI_plus f g : adm f -> adm g -> RI (fun x => f x + g x) = RI f + RI g.
Proof.
  intros Hf Hg. apply RI_unique.
  apply is_lim_seq_ext with (fun n => RInt f (- INR n) (INR n) + RInt g (- INR n) (INR n)).
  - intros n. symmetry. apply (RInt_plus (V := R_CompleteNormedModule) f g); apply cont_ex_RInt; [apply Hf|apply Hg].
  - apply is_lim_seq_plus'; apply adm_lim; auto.
Qed.

Lemma RI_scal c f : adm f -> RI (fun x => c * f x) = c * RI f.
Proof.
  intros Hf. apply RI_unique.
  apply is_lim_seq_ext with (fun n => c * RInt f (- INR n) (INR n)).
  - intros n. symmetry. apply (RInt_scal (V := R_CompleteNormedModule) f); apply cont_ex_RInt, Hf.
  - apply (is_lim_seq_scal_l _ c (RI f)), adm_lim; auto.
Qed.

Lemma RI_le f g : adm f -> adm g -> (forall x, f x <= g x) -> RI f <= RI g.
Proof.
  intros Hf Hg H.
  apply (is_lim_seq_le (fun n => RInt f (- INR n) (INR n)) (fun n => RInt g (- INR n) (INR n)) (RI f) (RI g)).
  - intros n. apply RInt_le; [pose proof (pos_INR n); lra|apply cont_ex_RInt, Hf|apply cont_ex_RInt, Hg|auto].
  - apply adm_lim; auto.
  - apply adm_lim; auto.
Qed.

(** Substitution of [k x + c] *)
Lemma RI_linear f k c : adm f -> 0 < k -> RI (fun x => k * f (k * x + c)) = RI f.
Proof.
  intros [Hc [K [HK Hd]]] Hk. apply RI_unique. apply is_lim_seq_spec. intros eps.
  destruct (exp_neg_small K HK eps (cond_pos eps)) as [N HN].
  destruct (nfloor_ex ((INR N + Rabs c) / k)) as [N' [_ HN']].
  { apply Rdiv_le_0_compat; auto. pose proof (pos_INR N). pose proof (Rabs_pos c). lra. }
  exists (S N'). intros n Hn. assert (Hkn : INR N + Rabs c <= k * INR n).
  { apply le_INR in Hn. rewrite S_INR in Hn. apply Rle_trans with (k * ((INR N + Rabs c) / k)).
    - right. field. lra.
    - apply Rmult_le_compat_l; lra. }
  assert (E : RInt (fun x => k * f (k * x + c)) (- INR n) (INR n) = RInt f (k * - INR n + c) (k * INR n + c)).
  { apply (RInt_comp_lin (V := R_CompleteNormedModule) f k c). apply cont_ex_RInt; auto. }
  rewrite E. eapply Rle_lt_trans; [|exact HN].
  pose proof (Rle_abs c). pose proof (Rle_abs (- c)). rewrite Rabs_Ropp in H0.
  apply (RI_tail f K Hc HK Hd); [apply pos_INR|lra|lra].
Qed.

(** ** The weight, and functions that it tames *)

Definition w (x : R) : R := exp (- (x ^ 2 / 2)).

(** Growth at most [A exp(B|x|)], and Lipschitz with a constant that grows no faster *)
Definition tame1 (f : R -> R) : Prop := exists A B, 0 <= A /\ 0 <= B /\ (forall x, Rabs (f x) <= A * exp (B * Rabs x)) /\
  (forall x y, Rabs (f x - f y) <= A * exp (B * (Rabs x + Rabs y)) * Rabs (x - y)).

Lemma w_pos x : 0 < w x.
Proof. apply exp_pos. Qed.

Lemma w_cont x : continuous w x.
Proof. apply (ex_derive_continuous w). unfold w. auto_derive. auto. Qed.

Lemma w_dom B x : exp (B * Rabs x) * w x <= exp ((B + 1) ^ 2 / 2) * exp (- Rabs x).
Proof.
  unfold w. rewrite <- !exp_plus. apply exp_le_mono.
  assert (x ^ 2 = Rabs x ^ 2) by (rewrite pow2_abs; auto). rewrite H.
  assert (0 <= (Rabs x - (B + 1)) ^ 2) by apply pow2_ge_0. nra.
Qed.

Lemma tame1_cont f x : tame1 f -> continuous f x.
Proof.
  intros (A & B & HA & HB & _ & HL). apply continuity_pt_filterlim. intros eps He.
  set (L := A * exp (B * (2 * Rabs x + 1))). assert (HL0 : 0 <= L) by (apply Rmult_le_pos; auto; left; apply exp_pos).
  exists (Rmin 1 (eps / (L + 1))). split.
  - apply Rmin_pos; [lra|]. apply Rdiv_lt_0_compat; lra.
  - intros y [_ Hy]. unfold dist in *; simpl in *. unfold R_dist in *.
    assert (Hy1 : Rabs (y - x) < 1) by (eapply Rlt_le_trans; [exact Hy|apply Rmin_l]).
    assert (Hy2 : Rabs (y - x) < eps / (L + 1)) by (eapply Rlt_le_trans; [exact Hy|apply Rmin_r]).
    assert (Ry : Rabs y <= Rabs x + 1).
    { replace y with (x + (y - x)) by ring. eapply Rle_trans; [apply Rabs_triang|lra]. }
    assert (exp (B * (Rabs y + Rabs x)) <= exp (B * (2 * Rabs x + 1))) by (apply exp_le_mono, Rmult_le_compat_l; lra).
    apply Rle_lt_trans with (L * Rabs (y - x)).
    + eapply Rle_trans; [apply HL|]. apply Rmult_le_compat_r; [apply Rabs_pos|]. apply Rmult_le_compat_l; auto.
    + pose proof (Rabs_pos (y - x)). assert ((L + 1) * Rabs (y - x) < eps).
      { apply Rmult_lt_compat_l with (r := L + 1) in Hy2; [|lra].
        replace ((L + 1) * (eps / (L + 1))) with eps in Hy2 by (field; lra). exact Hy2. }
      nra.
Qed.

Lemma tame1_adm f : tame1 f -> adm (fun x => f x * w x).
Proof.
  intros T. split.
  - intros x. apply (continuous_mult (K := R_AbsRing) f w); [apply tame1_cont; auto|apply w_cont].
  - destruct T as (A & B & HA & HB & HG & _). exists (A * exp ((B + 1) ^ 2 / 2)). split.
    + apply Rmult_le_pos; auto. left; apply exp_pos.
    + intros x. rewrite Rabs_mult, (Rabs_right (w x)) by (left; apply w_pos).
      apply Rle_trans with (A * exp (B * Rabs x) * w x).
      * apply Rmult_le_compat_r; [left; apply w_pos|auto].
      * rewrite !Rmult_assoc. apply Rmult_le_compat_l; auto. apply w_dom.
Qed.

Lemma tame1_const c : tame1 (fun _ => c).
Proof.
  exists (Rabs c), 0. split; [apply Rabs_pos|]. split; [lra|]. split.
  - intros; rewrite Rmult_0_l, exp_0; lra.
  - intros. replace (c - c) with 0 by ring. rewrite Rabs_R0.
    apply Rmult_le_pos; [apply Rmult_le_pos; [apply Rabs_pos|left; apply exp_pos]|apply Rabs_pos].
Qed.

(** Common constants for two functions *)
Lemma grow A B C D x : 0 <= A -> A <= C -> B <= D -> 0 <= x -> A * exp (B * x) <= C * exp (D * x).
Proof.
  intros HA H1 H2 Hx. apply Rmult_le_compat; auto; [left; apply exp_pos|]. apply exp_le_mono.
  apply Rmult_le_compat_r; auto.
Qed.

Lemma tame1_plus f g : tame1 f -> tame1 g -> tame1 (fun x => f x + g x).
Proof.
  intros (A & B & HA & HB & HG & HL) (A' & B' & HA' & HB' & HG' & HL').
  exists (A + A'), (B + B'). split; [lra|]. split; [lra|]. split.
  - intros x. eapply Rle_trans; [apply Rabs_triang|]. rewrite Rmult_plus_distr_r. apply Rplus_le_compat.
    + eapply Rle_trans; [apply HG|]. apply grow; try lra; apply Rabs_pos.
    + eapply Rle_trans; [apply HG'|]. apply grow; try lra; apply Rabs_pos.
  - intros x y. replace (f x + g x - (f y + g y)) with ((f x - f y) + (g x - g y)) by ring.
    assert (0 <= Rabs x + Rabs y) by (pose proof (Rabs_pos x); pose proof (Rabs_pos y); lra).
    eapply Rle_trans; [apply Rabs_triang|]. rewrite (Rmult_plus_distr_r A A'), (Rmult_plus_distr_r (A * _)).
    apply Rplus_le_compat.
    + eapply Rle_trans; [apply HL|]. apply Rmult_le_compat_r; [apply Rabs_pos|]. apply grow; lra.
    + eapply Rle_trans; [apply HL'|]. apply Rmult_le_compat_r; [apply Rabs_pos|]. apply grow; lra.
Qed.

Lemma tame1_scal c f : tame1 f -> tame1 (fun x => c * f x).
Proof.
  intros (A & B & HA & HB & HG & HL). exists (Rabs c * A), B.
  split; [apply Rmult_le_pos; auto; apply Rabs_pos|]. split; auto. split.
  - intros x. rewrite Rabs_mult, Rmult_assoc. apply Rmult_le_compat_l; [apply Rabs_pos|auto].
  - intros x y. replace (c * f x - c * f y) with (c * (f x - f y)) by ring. rewrite Rabs_mult, !Rmult_assoc.
    apply Rmult_le_compat_l; [apply Rabs_pos|]. rewrite <- Rmult_assoc. auto.
Qed.

(** ** The expectation *)

Definition Z : R := RI w.
Definition E1 (f : R -> R) : R := RI (fun x => f x * w x) / Z.

Lemma w_adm : adm w.
Proof.
  pose proof (tame1_adm _ (tame1_const 1)) as H.
  replace w with (fun x => 1 * w x); auto. apply functional_extensionality. intros; ring.
Qed.

Lemma Z_pos : 0 < Z.
Proof.
  (* the integral from -1 to 1 is at least 2 exp(-1/2), and the rest is not negative *)
  assert (H : forall n, (1 <= n)%nat -> 2 * exp (- (1 / 2)) <= RInt w (- INR n) (INR n)).
  { intros n Hn. apply le_INR in Hn. simpl in Hn.
    assert (X : forall a b, ex_RInt w a b) by (intros; apply cont_ex_RInt, w_cont).
    rewrite <- (RInt_Chasles w (- INR n) (-1) (INR n)), <- (RInt_Chasles w (-1) 1 (INR n)) by auto.
    assert (0 <= RInt w (- INR n) (-1)) by (apply RInt_ge_0; auto; try lra; intros; left; apply w_pos).
    assert (0 <= RInt w 1 (INR n)) by (apply RInt_ge_0; auto; intros; left; apply w_pos).
    assert (RInt (fun _ => exp (- (1 / 2))) (-1) 1 <= RInt w (-1) 1).
    { apply RInt_le; auto; [lra|apply ex_RInt_const|]. intros x Hx. unfold w. apply exp_le_mono. nra. }
    rewrite RInt_const in H1. unfold scal, plus in *; simpl in *; unfold mult in *; simpl in *. lra. }
  apply Rlt_le_trans with (2 * exp (- (1 / 2))); [pose proof (exp_pos (- (1 / 2))); lra|].
  apply (is_lim_seq_le_loc (fun _ => 2 * exp (- (1 / 2))) (fun n => RInt w (- INR n) (INR n)) (2 * exp (- (1 / 2))) (RI w)).
  - exists 1%nat. exact H.
  - apply is_lim_seq_const.
  - apply adm_lim, w_adm.
Qed.

Lemma E1_plus f g : tame1 f -> tame1 g -> E1 (fun x => f x + g x) = E1 f + E1 g.
Proof.
  intros Hf Hg. unfold E1. rewrite <- (Rdiv_plus_distr _ _ Z). f_equal.
  rewrite <- RI_plus by (apply tame1_adm; auto). f_equal. apply functional_extensionality. intros; ring.
Qed.

Lemma E1_scal c f : tame1 f -> E1 (fun x => c * f x) = c * E1 f.
Proof.
  intros Hf. unfold E1. unfold Rdiv. rewrite <- Rmult_assoc. f_equal.
  rewrite <- RI_scal by (apply tame1_adm; auto). f_equal. apply functional_extensionality. intros; ring.
Qed.

Lemma E1_le f g : tame1 f -> tame1 g -> (forall x, f x <= g x) -> E1 f <= E1 g.
Proof.
  intros Hf Hg H. unfold E1, Rdiv. apply Rmult_le_compat_r; [left; apply Rinv_0_lt_compat, Z_pos|].
  apply RI_le; [apply tame1_adm; auto|apply tame1_adm; auto|]. intros. apply Rmult_le_compat_r; auto. left; apply w_pos.
Qed.

(** The Gaussian moment generating function, with a quadratic part: complete the square and substitute. *)
Lemma E1_mgf a S : 0 <= S -> E1 (fun x => exp (a * x - S * x ^ 2 / 2)) = exp (a ^ 2 / (2 * (1 + S))) / sqrt (1 + S).
Proof.
  intros HS. set (k := sqrt (1 + S)). assert (Hk : 0 < k) by (apply sqrt_lt_R0; lra).
  assert (Hk2 : k * k = 1 + S) by (apply sqrt_sqrt; lra).
  unfold E1.
  replace (fun x => exp (a * x - S * x ^ 2 / 2) * w x)
    with (fun x => exp (a ^ 2 / (2 * (1 + S))) / k * (k * w (k * x + - a / k))).
  - assert (W : adm (fun x => k * w (k * x + - a / k))).
    { split.
      - intros x. apply (ex_derive_continuous (fun x => k * w (k * x + - a / k))). unfold w. auto_derive. auto.
      - exists (k * exp (a ^ 2 / (2 * (1 + S)) + (Rabs a + 1) ^ 2 / 2)). split; [apply Rmult_le_pos; [lra|left; apply exp_pos]|].
        intros x. rewrite Rabs_right by (apply Rle_ge, Rmult_le_pos; [lra|left; apply w_pos]).
        rewrite Rmult_assoc. apply Rmult_le_compat_l; [lra|]. unfold w. rewrite <- exp_plus. apply exp_le_mono.
        replace ((k * x + - a / k) ^ 2) with (k * k * x ^ 2 - 2 * a * x + a ^ 2 / (k * k)) by (field; lra). rewrite Hk2.
        replace (a ^ 2 / (2 * (1 + S))) with (a ^ 2 / (1 + S) / 2) by (field; lra).
        assert (0 <= a ^ 2 / (1 + S)) by (apply Rdiv_le_0_compat; [apply pow2_ge_0|lra]).
        assert (x ^ 2 = Rabs x ^ 2) by (rewrite pow2_abs; auto).
        assert (a * x <= Rabs a * Rabs x) by (rewrite <- Rabs_mult; apply Rle_abs).
        assert (0 <= (Rabs x - (Rabs a + 1)) ^ 2) by apply pow2_ge_0.
        assert (0 <= S * x ^ 2) by (apply Rmult_le_pos; auto; apply pow2_ge_0). nra. }
    rewrite RI_scal by exact W. rewrite RI_linear by (auto; apply w_adm). unfold Z. field. split; [lra|].
    apply Rgt_not_eq, Z_pos.
  - apply functional_extensionality. intros x. unfold w. rewrite <- exp_plus.
    replace (exp (a ^ 2 / (2 * (1 + S))) / k * (k * exp (- ((k * x + - a / k) ^ 2 / 2))))
      with (exp (a ^ 2 / (2 * (1 + S))) * exp (- ((k * x + - a / k) ^ 2 / 2))) by (field; lra).
    rewrite <- exp_plus. f_equal.
    replace ((k * x + - a / k) ^ 2) with (k * k * x ^ 2 - 2 * a * x + a ^ 2 / (k * k)) by (field; lra). rewrite Hk2. field. lra.
Qed.
