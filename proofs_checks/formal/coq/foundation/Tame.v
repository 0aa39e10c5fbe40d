(** The class of functions that the expectation under N(0, I_d) is about.

    [tame d]: at most exponential growth, and Lipschitz with constants that grow at most exponentially. All functions of the theory are in it:
    density ratios of Gaussian mixtures, their logarithms, polynomials, and sums, products and absolute values of these. *)

From Coq Require Import Reals Lra Lia Psatz FunctionalExtensionality.
From Coquelicot Require Import Coquelicot.
From Singdiffusion Require Import Base Gaussian.
Local Open Scope R_scope.

(** The sum of the sizes of the coordinates *)
Definition len (d : nat) (u : vec) : R := sumn d (fun k => Rabs (u k)).

Definition grows (d : nat) (f : vec -> R) (A B : R) : Prop := forall u, Rabs (f u) <= A * exp (B * len d u).
Definition lips (d : nat) (f : vec -> R) (A B : R) : Prop :=
  forall u v, Rabs (f u - f v) <= A * exp (B * (len d u + len d v)) * len d (vminus u v).
Definition tame (d : nat) (f : vec -> R) : Prop := exists A B, 0 <= A /\ 0 <= B /\ grows d f A B /\ lips d f A B.

(** Lipschitz with one constant *)
Definition lip (d : nat) (f : vec -> R) : Prop := exists K, 0 <= K /\ forall u v, Rabs (f u - f v) <= K * len d (vminus u v).

Lemma len_nonneg d u : 0 <= len d u.
Proof. apply sumn_nonneg; intros; apply Rabs_pos. Qed.

Lemma len_minus d u v : len d (vminus u v) <= len d u + len d v.
Proof.
  unfold len, vminus. rewrite <- sumn_plus. apply sumn_le. intros k _. unfold Rminus.
  eapply Rle_trans; [apply Rabs_triang|]. rewrite Rabs_Ropp. lra.
Qed.

Lemma len_zero d : len d (fun _ => 0) = 0.
Proof. unfold len. apply sumn_zero. intros; apply Rabs_R0. Qed.

Lemma exp_le_grow B C x : B <= C -> 0 <= x -> exp (B * x) <= exp (C * x).
Proof. intros. apply exp_le_mono, Rmult_le_compat_r; auto. Qed.

Lemma exp_ge_1 x : 0 <= x -> 1 <= exp x.
Proof. intros. rewrite <- exp_0. apply exp_le_mono; auto. Qed.

Lemma tame_const d c : tame d (fun _ => c).
Proof.
  exists (Rabs c), 0. split; [apply Rabs_pos|]. split; [lra|]. split.
  - intros u. rewrite Rmult_0_l, exp_0. lra.
  - intros u v. replace (c - c) with 0 by ring. rewrite Rabs_R0.
    apply Rmult_le_pos; [apply Rmult_le_pos; [apply Rabs_pos|left; apply exp_pos]|apply len_nonneg].
Qed.

Lemma tame_plus d f g : tame d f -> tame d g -> tame d (fun u => f u + g u).
Proof.
  intros (A & B & HA & HB & HG & HL) (A' & B' & HA' & HB' & HG' & HL').
  exists (A + A'), (B + B'). split; [lra|]. split; [lra|]. split.
  - intros u. eapply Rle_trans; [apply Rabs_triang|]. rewrite Rmult_plus_distr_r. pose proof (len_nonneg d u). apply Rplus_le_compat.
    + eapply Rle_trans; [apply HG|]. apply grow; lra.
    + eapply Rle_trans; [apply HG'|]. apply grow; lra.
  - intros u v. replace (f u + g u - (f v + g v)) with ((f u - f v) + (g u - g v)) by ring.
    assert (0 <= len d u + len d v) by (pose proof (len_nonneg d u); pose proof (len_nonneg d v); lra).
    eapply Rle_trans; [apply Rabs_triang|]. rewrite (Rmult_plus_distr_r A A'), (Rmult_plus_distr_r (A * _)). apply Rplus_le_compat.
    + eapply Rle_trans; [apply HL|]. apply Rmult_le_compat_r; [apply len_nonneg|]. apply grow; lra.
    + eapply Rle_trans; [apply HL'|]. apply Rmult_le_compat_r; [apply len_nonneg|]. apply grow; lra.
Qed.

Lemma tame_mult d f g : tame d f -> tame d g -> tame d (fun u => f u * g u).
Proof.
  intros (A & B & HA & HB & HG & HL) (A' & B' & HA' & HB' & HG' & HL').
  exists (2 * (A * A')), (B + B'). assert (0 <= A * A') by (apply Rmult_le_pos; auto). split; [lra|]. split; [lra|]. split.
  - intros u. rewrite Rabs_mult. apply Rle_trans with (A * exp (B * len d u) * (A' * exp (B' * len d u))).
    + apply Rmult_le_compat; auto; apply Rabs_pos.
    + replace (A * exp (B * len d u) * (A' * exp (B' * len d u))) with (A * A' * exp ((B + B') * len d u)).
      * apply Rmult_le_compat_r; [left; apply exp_pos|lra].
      * rewrite Rmult_plus_distr_r, exp_plus. ring.
  - intros u v. replace (f u * g u - f v * g v) with (f u * (g u - g v) + g v * (f u - f v)) by ring.
    pose proof (len_nonneg d u) as Lu. pose proof (len_nonneg d v) as Lv. pose proof (len_nonneg d (vminus u v)) as Lm.
    set (s := len d u + len d v). assert (Hs : 0 <= s) by (unfold s; lra).
    eapply Rle_trans; [apply Rabs_triang|]. rewrite !Rabs_mult.
    assert (F : Rabs (f u) <= A * exp (B * s)) by (eapply Rle_trans; [apply HG|]; apply Rmult_le_compat_l; auto; apply exp_le_mono, Rmult_le_compat_l; unfold s; lra).
    assert (G : Rabs (g v) <= A' * exp (B' * s)) by (eapply Rle_trans; [apply HG'|]; apply Rmult_le_compat_l; auto; apply exp_le_mono, Rmult_le_compat_l; unfold s; lra).
    apply Rle_trans with (A * exp (B * s) * (A' * exp (B' * s) * len d (vminus u v)) + A' * exp (B' * s) * (A * exp (B * s) * len d (vminus u v))).
    + apply Rplus_le_compat; apply Rmult_le_compat; auto; try apply Rabs_pos; [apply HL'|apply HL].
    + right. rewrite Rmult_plus_distr_r, exp_plus. ring.
Qed.

Lemma tame_scal d c f : tame d f -> tame d (fun u => c * f u).
Proof. intros H. apply (tame_mult d (fun _ => c)); auto. apply tame_const. Qed.

Lemma tame_opp d f : tame d f -> tame d (fun u => - f u).
Proof.
  intros H. replace (fun u => - f u) with (fun u => -1 * f u); [apply tame_scal; auto|]. apply functional_extensionality; intros; ring.
Qed.

Lemma tame_minus d f g : tame d f -> tame d g -> tame d (fun u => f u - g u).
Proof. intros Hf Hg. apply tame_plus; auto. apply tame_opp; auto. Qed.

Lemma tame_sum d n (f : nat -> vec -> R) : (forall i, (i < n)%nat -> tame d (f i)) -> tame d (fun u => sumn n (fun i => f i u)).
Proof.
  induction n; intros H; [apply (tame_const d 0)|]. simpl. apply tame_plus; [apply IHn; intros; apply H; lia|apply H; lia].
Qed.

Lemma tame_abs d f : tame d f -> tame d (fun u => Rabs (f u)).
Proof.
  intros (A & B & HA & HB & HG & HL). exists A, B. repeat split; auto.
  - intros u. rewrite Rabs_Rabsolu. auto.
  - intros u v. eapply Rle_trans; [apply Rabs_triang_inv2|auto].
Qed.

Lemma lip_tame d f : lip d f -> tame d f.
Proof.
  intros (K & HK & HL). exists (Rabs (f (fun _ => 0)) + K), 1. pose proof (Rabs_pos (f (fun _ => 0))).
  split; [lra|]. split; [lra|]. split.
  - intros u. pose proof (len_nonneg d u) as Lu.
    assert (Rabs (f u) <= Rabs (f (fun _ => 0)) + K * len d u).
    { replace (f u) with (f (fun _ => 0) + (f u - f (fun _ => 0))) by ring. eapply Rle_trans; [apply Rabs_triang|].
      apply Rplus_le_compat_l. eapply Rle_trans; [apply HL|]. apply Rmult_le_compat_l; auto.
      eapply Rle_trans; [apply len_minus|]. rewrite len_zero. lra. }
    rewrite Rmult_1_l. pose proof (exp_ge (len d u)). rewrite Rmult_plus_distr_r. nra.
  - intros u v. eapply Rle_trans; [apply HL|]. apply Rmult_le_compat_r; [apply len_nonneg|].
    pose proof (len_nonneg d u). pose proof (len_nonneg d v).
    assert (1 <= exp (1 * (len d u + len d v))) by (apply exp_ge_1; lra). nra.
Qed.

(** Exponentials of Lipschitz functions *)
Lemma exp_diff p q : Rabs (exp p - exp q) <= Rabs (p - q) * (exp p + exp q).
Proof.
  assert (H : forall a b, a <= b -> Rabs (exp a - exp b) <= Rabs (a - b) * (exp a + exp b)).
  { intros a b Hab. assert (exp a <= exp b) by (apply exp_le_mono; auto).
    rewrite Rabs_minus_sym, (Rabs_minus_sym a b), !Rabs_right by lra. pose proof (exp_pos a). pose proof (exp_pos b).
    assert (exp b * (1 + (a - b)) <= exp a). { replace (exp a) with (exp b * exp (a - b)) by (rewrite <- exp_plus; f_equal; ring).
      apply Rmult_le_compat_l; [lra|apply exp_ge]. }
    nra. }
  destruct (Rle_dec p q); auto. rewrite Rabs_minus_sym, (Rabs_minus_sym p q), Rplus_comm. apply H. lra.
Qed.

Lemma lip_grow d f K : (forall u v, Rabs (f u - f v) <= K * len d (vminus u v)) -> 0 <= K ->
  forall u, f u <= f (fun _ => 0) + K * len d u.
Proof.
  intros HL HK u. specialize (HL u (fun _ => 0)). pose proof (Rle_abs (f u - f (fun _ => 0))).
  assert (len d (vminus u (fun _ => 0)) <= len d u) by (eapply Rle_trans; [apply len_minus|rewrite len_zero; lra]). nra.
Qed.

Lemma tame_exp d f : lip d f -> tame d (fun u => exp (f u)).
Proof.
  intros (K & HK & HL). set (c := exp (f (fun _ => 0))). assert (Hc : 0 < c) by apply exp_pos.
  assert (G : forall u, exp (f u) <= c * exp (K * len d u)).
  { intros u. unfold c. rewrite <- exp_plus. apply exp_le_mono, lip_grow; auto. }
  exists (c + 2 * K * c), K. assert (0 <= 2 * K * c) by (apply Rmult_le_pos; lra). split; [lra|]. split; auto. split.
  - intros u. rewrite Rabs_right by (left; apply exp_pos). eapply Rle_trans; [apply G|]. apply Rmult_le_compat_r; [left; apply exp_pos|lra].
  - intros u v. pose proof (len_nonneg d u). pose proof (len_nonneg d v).
    eapply Rle_trans; [apply exp_diff|].
    apply Rle_trans with (K * len d (vminus u v) * (2 * c * exp (K * (len d u + len d v)))).
    + apply Rmult_le_compat; auto; [apply Rabs_pos|left; pose proof (exp_pos (f u)); pose proof (exp_pos (f v)); lra|].
      assert (exp (K * len d u) <= exp (K * (len d u + len d v))) by (apply exp_le_mono, Rmult_le_compat_l; lra).
      assert (exp (K * len d v) <= exp (K * (len d u + len d v))) by (apply exp_le_mono, Rmult_le_compat_l; lra).
      pose proof (G u). pose proof (G v). nra.
    + replace (K * len d (vminus u v) * (2 * c * exp (K * (len d u + len d v))))
        with (2 * K * c * exp (K * (len d u + len d v)) * len d (vminus u v)) by ring.
      apply Rmult_le_compat_r; [apply len_nonneg|]. apply Rmult_le_compat_r; [left; apply exp_pos|lra].
Qed.

(** Exponentials of what is tame and at most 0 *)
Lemma tame_exp_neg d f : tame d f -> (forall u, f u <= 0) -> tame d (fun u => exp (f u)).
Proof.
  intros (A & B & HA & HB & HG & HL) Hn. exists (1 + 2 * A), B. split; [lra|]. split; auto.
  assert (L1 : forall u, exp (f u) <= 1) by (intros u; rewrite <- exp_0; apply exp_le_mono; auto).
  split.
  - intros u. rewrite Rabs_right by (left; apply exp_pos). pose proof (L1 u). pose proof (len_nonneg d u).
    assert (1 <= exp (B * len d u)) by (apply exp_ge_1, Rmult_le_pos; auto). nra.
  - intros u v. eapply Rle_trans; [apply exp_diff|]. pose proof (L1 u). pose proof (L1 v). pose proof (HL u v) as H1.
    pose proof (Rabs_pos (f u - f v)). pose proof (exp_pos (f u)). pose proof (exp_pos (f v)).
    apply Rle_trans with (Rabs (f u - f v) * 2); [apply Rmult_le_compat_l; lra|].
    assert (0 <= exp (B * (len d u + len d v)) * len d (vminus u v)) by (apply Rmult_le_pos; [left; apply exp_pos|apply len_nonneg]).
    nra.
Qed.

Lemma lip_dot d a : lip d (fun u => dot d a u).
Proof.
  exists (len d a). split; [apply len_nonneg|]. intros u v. rewrite <- dot_minus_r. unfold dot.
  eapply Rle_trans; [apply sumn_abs|]. unfold len at 2. rewrite <- sumn_scal. apply sumn_le. intros k Hk. rewrite Rabs_mult.
  apply Rmult_le_compat_r; [apply Rabs_pos|]. apply (sumn_term d (fun k => Rabs (a k))); auto. intros; apply Rabs_pos.
Qed.

Lemma lip_const d c : lip d (fun _ => c).
Proof. exists 0. split; [lra|]. intros. replace (c - c) with 0 by ring. rewrite Rabs_R0. lra. Qed.

Lemma lip_plus d f g : lip d f -> lip d g -> lip d (fun u => f u + g u).
Proof.
  intros (K & HK & HL) (K' & HK' & HL'). exists (K + K'). split; [lra|]. intros u v.
  replace (f u + g u - (f v + g v)) with ((f u - f v) + (g u - g v)) by ring. eapply Rle_trans; [apply Rabs_triang|].
  specialize (HL u v). specialize (HL' u v). lra.
Qed.

Lemma lip_scal d c f : lip d f -> lip d (fun u => c * f u).
Proof.
  intros (K & HK & HL). exists (Rabs c * K). split; [apply Rmult_le_pos; auto; apply Rabs_pos|]. intros u v.
  replace (c * f u - c * f v) with (c * (f u - f v)) by ring. rewrite Rabs_mult, Rmult_assoc. apply Rmult_le_compat_l; [apply Rabs_pos|auto].
Qed.

(** The logarithm of a sum of exponentials is Lipschitz. *)
Lemma lip_log_sum d n (c : nat -> R) (h : nat -> vec -> R) : (forall i, (i < n)%nat -> 0 <= c i) -> 0 < sumn n c ->
  (forall i, (i < n)%nat -> lip d (h i)) -> lip d (fun u => ln (sumn n (fun i => c i * exp (h i u)))).
Proof.
  intros Hc Hs H.
  assert (P : exists K, 0 <= K /\ forall i, (i < n)%nat -> forall u v, Rabs (h i u - h i v) <= K * len d (vminus u v)).
  { clear Hc Hs. induction n; [exists 0; split; [lra|intros; lia]|].
    destruct IHn as (K & HK & HL); [intros; apply H; lia|]. destruct (H n) as (K' & HK' & HL'); [lia|].
    exists (K + K'). split; [lra|]. intros i Hi u v. pose proof (len_nonneg d (vminus u v)).
    destruct (PeanoNat.Nat.eq_dec i n) as [->|Hne].
    - eapply Rle_trans; [apply HL'|]. apply Rmult_le_compat_r; auto; lra.
    - eapply Rle_trans; [apply HL; lia|]. apply Rmult_le_compat_r; auto; lra. }
  destruct P as (K & HK & HL). exists K. split; auto.
  assert (Pos : forall u, 0 < sumn n (fun i => c i * exp (h i u))).
  { intros u. destruct (sumn_some_pos n c Hc Hs) as (k & Hk & Hp). apply sumn_pos.
    - intros i Hi. apply Rmult_le_pos; auto. left; apply exp_pos.
    - exists k. split; auto. apply Rmult_lt_0_compat; auto. apply exp_pos. }
  assert (O : forall u v, ln (sumn n (fun i => c i * exp (h i u))) - ln (sumn n (fun i => c i * exp (h i v))) <= K * len d (vminus u v)).
  { intros u v. set (D := K * len d (vminus u v)).
    assert (sumn n (fun i => c i * exp (h i u)) <= exp D * sumn n (fun i => c i * exp (h i v))).
    { rewrite <- sumn_scal. apply sumn_le. intros i Hi.
      replace (exp D * (c i * exp (h i v))) with (c i * exp (h i v + D)) by (rewrite exp_plus; ring).
      apply Rmult_le_compat_l; auto. apply exp_le_mono. specialize (HL i Hi u v). pose proof (Rle_abs (h i u - h i v)). unfold D. lra. }
    apply ln_le_mono in H0; auto. rewrite ln_mult, ln_exp in H0; auto; [lra|apply exp_pos]. }
  intros u v. apply Rabs_le. split; [|apply O]. pose proof (O v u).
  assert (len d (vminus v u) = len d (vminus u v)).
  { unfold len, vminus. apply sumn_ext. intros; apply Rabs_minus_sym. }
  rewrite H1 in H0. lra.
Qed.

Lemma lip_len d : lip d (len d).
Proof.
  exists 1. split; [lra|]. intros u v. rewrite Rmult_1_l. unfold len, vminus. rewrite <- sumn_minus.
  eapply Rle_trans; [apply sumn_abs|]. apply sumn_le. intros k Hk. apply Rabs_triang_inv2.
Qed.

Lemma tame_exp_len d B : tame d (fun u => exp (B * len d u)).
Proof. apply tame_exp, lip_scal, lip_len. Qed.
