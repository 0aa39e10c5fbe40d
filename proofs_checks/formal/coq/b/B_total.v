(** B3's sharper bounds on total variation, for every finite law in every dimension.

    [TV(N(m, I), N(0, I)) = 2 Phi(|m|/2) - 1]: one coordinate is integrated by its antiderivative, and every further one by the convolution
    [E half((b x + c)/s) = half(c / sqrt(s^2 + b^2))], whose two sides have the same derivative in c. TV is convex, so that the average of this over
    the components is a bound. [half t] is the integral of [exp(-x^2/2)] from 0 to t. *)

From Coq Require Import Reals Lra Lia Psatz FunctionalExtensionality.
From Coquelicot Require Import Coquelicot.
From Interval Require Import Tactic.
From Singdiffusion Require Import Base Gaussian Space Mixture GaussianValue Formulas B Translate.
Local Open Scope R_scope.

(** ** The integral [half] *)

Lemma half_zero : half 0 = 0.
Proof. unfold half. apply (RInt_point (V := R_CompleteNormedModule)). Qed.

Lemma half_opp t : half (- t) = - half t.
Proof.
  rewrite <- !scaled. rewrite (RInt_ext (V := R_CompleteNormedModule) (fun x => - t * w (- t * x)) (fun x => opp (t * w (t * x)))).
  - apply (RInt_opp (V := R_CompleteNormedModule) (fun x => t * w (t * x))). apply cont_ex_RInt. intros x. apply (ex_derive_continuous (fun x => t * w (t * x))). unfold w. auto_derive. auto.
  - intros x _. unfold opp. simpl. replace (w (- t * x)) with (w (t * x)); [ring|]. unfold w. do 3 f_equal. ring.
Qed.

Lemma w_le x : w x <= 1.
Proof. unfold w. rewrite <- exp_0. apply exp_le_mono. pose proof (pow2_ge_0 x). lra. Qed.

Lemma half_cont_pt t : continuity_pt half t.
Proof. apply continuity_pt_filterlim, (ex_derive_continuous half). eexists. apply half_derive. Qed.

(** The mean value of its slope *)
Lemma half_mvt a b : exists c, Rmin a b <= c <= Rmax a b /\ half b - half a = w c * (b - a).
Proof. apply (MVT_gen half a b w); intros; [apply half_derive|apply half_cont_pt]. Qed.

Lemma half_lip a b : Rabs (half b - half a) <= Rabs (b - a).
Proof.
  destruct (half_mvt a b) as (c & _ & ->). rewrite Rabs_mult, (Rabs_right (w c)) by (left; apply w_pos).
  pose proof (w_le c). pose proof (w_pos c). pose proof (Rabs_pos (b - a)). nra.
Qed.

Lemma half_le t : 0 <= t -> half t <= t.
Proof. intros Ht. pose proof (half_lip 0 t) as H. rewrite half_zero, !Rminus_0_r, (Rabs_right t) in H by lra. pose proof (Rle_abs (half t)). lra. Qed.

Lemma w_lip a b : Rabs (w b - w a) <= Rabs (b - a).
Proof.
  assert (D : forall x, is_derive w x (- x * w x)) by (intros x; unfold w; auto_derive; auto;
    repeat match goal with |- context [exp ?e] => progress (replace (exp e) with (exp (- (x ^ 2 / 2))) by (f_equal; field)) end; field).
  destruct (MVT_gen w a b (fun x => - x * w x)) as (c & _ & ->); [intros; apply D|intros; apply continuity_pt_filterlim, w_cont|].
  rewrite Rabs_mult. assert (Rabs (- c * w c) <= 1); [|pose proof (Rabs_pos (b - a)); nra].
  rewrite Rabs_mult, Rabs_Ropp, (Rabs_right (w c)) by (left; apply w_pos).
  assert (X : w c * (1 + c ^ 2 / 2) <= 1).
  { unfold w. pose proof (exp_ge (c ^ 2 / 2)). pose proof (exp_pos (- (c ^ 2 / 2))). assert (exp (- (c ^ 2 / 2)) * exp (c ^ 2 / 2) = 1) by (rewrite <- exp_plus; apply exp_zero; ring). nra. }
  pose proof (w_pos c). assert (Rabs c <= 1 + c ^ 2 / 2); [|nra]. rewrite <- pow2_abs. pose proof (pow2_ge_0 (Rabs c - 1)). nra.
Qed.

Lemma half_second t h : Rabs (half (t + h) - half t - h * w t) <= h ^ 2.
Proof.
  destruct (half_mvt t (t + h)) as (c & Hc & ->). replace (w c * (t + h - t) - h * w t) with (h * (w c - w t)) by ring. rewrite Rabs_mult.
  assert (Rabs (w c - w t) <= Rabs h). { eapply Rle_trans; [apply w_lip|]. unfold Rmin, Rmax in Hc. destruct (Rle_dec t (t + h)); unfold Rabs; destruct (Rcase_abs (c - t)); destruct (Rcase_abs h); lra. }
  rewrite <- (pow2_abs h). pose proof (Rabs_pos h). nra.
Qed.

(** ** Means of it *)

Lemma lip_half d f : lip d f -> lip d (fun u => half (f u)).
Proof. intros (K & HK & HL). exists K. split; auto. intros u v. eapply Rle_trans; [apply half_lip|apply HL]. Qed.

Lemma lip_line b c : lip 1 (fun u => b * u 0%nat + c).
Proof.
  apply (lip_plus 1 (fun u => b * u 0%nat) (fun _ => c)); [|apply lip_const]. apply lip_scal. exists 1. split; [lra|]. intros u v. unfold len, vminus. simpl. lra.
Qed.

Lemma tame1_of f : tame 1 (fun u => f (u 0%nat)) -> tame1 f.
Proof. intros H. exact (proj2 (proj2 (proj2 (E_facts 0))) _ H). Qed.

Lemma tame_half_line b c s : tame 1 (fun u => half ((b * u 0%nat + c) / s)).
Proof.
  apply lip_tame, lip_half. destruct (lip_scal 1 (/ s) _ (lip_line b c)) as (K & HK & HL). exists K. split; auto. intros u v. specialize (HL u v).
  unfold Rdiv. rewrite !(Rmult_comm _ (/ s)). exact HL.
Qed.

Lemma E1_opp f : tame1 f -> tame1 (fun x => f (- x)) -> E1 (fun x => f (- x)) = E1 f.
Proof.
  intros T T'. unfold E1. f_equal. apply RI_unique. apply is_lim_seq_ext with (fun n => RInt (fun x => f x * w x) (- INR n) (INR n)); [|apply adm_lim, tame1_adm; auto].
  intros n. set (h := fun x => f x * w x). assert (Ex : forall a b, ex_RInt (V := R_NormedModule) h a b) by (intros; apply cont_ex_RInt, (tame1_adm f T)).
  pose proof (RInt_comp_lin (V := R_CompleteNormedModule) h (-1) 0 (- INR n) (INR n) (Ex _ _)) as L.
  replace (-1 * - INR n + 0) with (INR n) in L by ring. replace (-1 * INR n + 0) with (- INR n) in L by ring.
  rewrite <- (opp_RInt_swap (V := R_CompleteNormedModule) h) by apply Ex. rewrite <- L. rewrite <- (RInt_opp (V := R_CompleteNormedModule)).
  - apply (RInt_ext (V := R_CompleteNormedModule)). intros x _. unfold h, opp, scal. simpl. unfold mult. simpl.
    replace (-1 * x + 0) with (- x) by ring. replace (w (- x)) with (w x) by (unfold w; do 3 f_equal; ring). ring.
  - apply cont_ex_RInt. intros x. apply (continuous_ext (fun x => -1 * (f (- x) * w x))).
    + intros z. unfold h, scal. simpl. unfold mult. simpl. replace (-1 * z + 0) with (- z) by ring. replace (w (- z)) with (w z) by (unfold w; do 3 f_equal; ring). auto.
    + apply (continuous_scal_r (V := R_NormedModule) (-1) (fun x => f (- x) * w x)). apply (tame1_adm _ T').
Qed.

(** The convolution with a further coordinate *)
Definition merged (b s c : R) : R := E1 (fun x => half ((b * x + c) / s)).

Lemma merged_derive b s c : 0 < s -> is_derive (merged b s) c (w (c / sqrt (s ^ 2 + b ^ 2)) / sqrt (s ^ 2 + b ^ 2)).
Proof.
  intros Hs. set (l := E1 (fun x => w ((b * x + c) / s) / s)).
  assert (Tw : tame 1 (fun u => w ((b * u 0%nat + c) / s) / s)).
  { destruct (lip_scal 1 (/ s) _ (lip_line b c)) as (K & HK & HL). rewrite (functional_extensionality _ (fun u => / s * w ((b * u 0%nat + c) / s))) by (intros; unfold Rdiv; ring).
    apply tame_scal, lip_tame. exists K. split; auto. intros u v. eapply Rle_trans; [apply w_lip|]. specialize (HL u v). unfold Rdiv. rewrite !(Rmult_comm _ (/ s)). exact HL. }
  assert (HN : 0 < s ^ 2 + b ^ 2) by (pose proof (pow2_gt_0 s ltac:(lra)); pose proof (pow2_ge_0 b); lra).
  assert (El : l = w (c / sqrt (s ^ 2 + b ^ 2)) / sqrt (s ^ 2 + b ^ 2)).
  { unfold l. rewrite (functional_extensionality _ (fun x => exp (- (c ^ 2 / (2 * s ^ 2))) / s * exp (- (b * c / s ^ 2) * x - b ^ 2 / s ^ 2 * x ^ 2 / 2))).
    - rewrite E1_scal, E1_mgf.
      + assert (Q : sqrt (s ^ 2 + b ^ 2) = s * sqrt (1 + b ^ 2 / s ^ 2)).
        { rewrite <- (sqrt_pow2 s) at 2 by lra. rewrite <- sqrt_mult_alt by apply pow2_ge_0. f_equal. field. lra. }
        assert (HR : 0 < 1 + b ^ 2 / s ^ 2) by (assert (0 <= b ^ 2 / s ^ 2) by (apply Rdiv_le_0_compat; [apply pow2_ge_0|apply pow2_gt_0; lra]); lra).
        assert (HQ : 0 < sqrt (1 + b ^ 2 / s ^ 2)) by (apply sqrt_lt_R0; auto).
        assert (X : w (c / sqrt (s ^ 2 + b ^ 2)) = exp (- (c ^ 2 / (2 * s ^ 2))) * exp ((- (b * c / s ^ 2)) ^ 2 / (2 * (1 + b ^ 2 / s ^ 2)))).
        { unfold w. rewrite <- exp_plus. f_equal. replace ((c / sqrt (s ^ 2 + b ^ 2)) ^ 2) with (c ^ 2 / (sqrt (s ^ 2 + b ^ 2)) ^ 2) by (field; apply Rgt_not_eq, sqrt_lt_R0; auto).
          rewrite pow2_sqrt by lra. field. split; [lra|]. lra. }
        rewrite X, Q. field. split; lra.
      + apply Rdiv_le_0_compat; [apply pow2_ge_0|apply pow2_gt_0; lra].
      + apply tame1_of. assert (T : tame 1 (fun u => exp (dot 1 (fun _ => - (b * c / s ^ 2)) u - quad 1 (fun _ => b ^ 2 / s ^ 2) u / 2)))
          by (apply tame_gauss; intros; apply Rdiv_le_0_compat; [apply pow2_ge_0|apply pow2_gt_0; lra]).
        refine (eq_ind _ (tame 1) T _ _). apply functional_extensionality. intros u. f_equal. unfold dot, quad. simpl. field. lra.
    - intros x. unfold w. unfold Rdiv at 1 4. rewrite (Rmult_assoc _ (/ s)), (Rmult_comm (/ s)), <- Rmult_assoc, <- exp_plus. do 2 f_equal. field. lra. }
  rewrite <- El. apply (derive_quadratic (merged b s) c l (/ s ^ 2)). intros h _.
  set (D := fun u : vec => half ((b * u 0%nat + (c + h)) / s) - half ((b * u 0%nat + c) / s) - h * (w ((b * u 0%nat + c) / s) / s)).
  assert (TD : tame 1 D) by (apply tame_minus; [apply tame_minus; apply tame_half_line|apply tame_scal, Tw]).
  replace (merged b s (c + h) - merged b s c - h * l) with (E 1 D).
  - replace (h ^ 2 * / s ^ 2) with (E 1 (fun _ => (h / s) ^ 2)) by (rewrite E_const; field; lra). apply E_abs_le; [exact TD|apply tame_const|].
    intros u. unfold D. replace ((b * u 0%nat + (c + h)) / s) with ((b * u 0%nat + c) / s + h / s) by (field; lra).
    replace (h * (w ((b * u 0%nat + c) / s) / s)) with (h / s * w ((b * u 0%nat + c) / s)) by (field; lra). apply half_second.
  - unfold D. rewrite E_minus, E_minus, E_scal; [reflexivity|exact Tw|apply tame_half_line|apply tame_half_line|apply tame_minus; apply tame_half_line|apply tame_scal, Tw].
Qed.

Theorem merged_value b s c : 0 < s -> merged b s c = half (c / sqrt (s ^ 2 + b ^ 2)).
Proof.
  intros Hs. set (N := sqrt (s ^ 2 + b ^ 2)).
  assert (HN : 0 < N) by (apply sqrt_lt_R0; pose proof (pow2_gt_0 s ltac:(lra)); pose proof (pow2_ge_0 b); lra).
  assert (M0 : merged b s 0 = 0).
  { assert (T : forall e, tame1 (fun x => half ((e * x + 0) / s))) by (intros e; apply tame1_of, tame_half_line).
    assert (merged b s 0 = - merged b s 0); [|lra]. unfold merged at 1. rewrite <- (E1_opp (fun x => half ((b * x + 0) / s))); [|apply T|].
    - replace (- merged b s 0) with (-1 * merged b s 0) by ring. unfold merged. rewrite <- E1_scal by apply T. f_equal. apply functional_extensionality. intros x.
      replace ((b * - x + 0) / s) with (- ((b * x + 0) / s)) by (unfold Rdiv; ring). rewrite half_opp. ring.
    - rewrite (functional_extensionality _ (fun x => half ((- b * x + 0) / s))); [apply T|]. intros x. f_equal. unfold Rdiv. ring. }
  set (f := fun c => merged b s c - half (c / N)).
  assert (D : forall c, is_derive f c 0).
  { intros z. replace 0 with (w (z / N) / N - / N * w (z / N)) by (unfold Rdiv; ring).
    apply (is_derive_minus (K := R_AbsRing) (V := R_NormedModule) (merged b s) (fun c => half (c / N))); [apply merged_derive; auto|].
    apply (is_derive_comp (K := R_AbsRing) (V := R_NormedModule) half (fun c => c / N) z); [apply half_derive|]. auto_derive; auto; field; lra. }
  assert (F0 : f 0 = 0) by (unfold f; rewrite M0; replace (0 / N) with 0 by (field; lra); rewrite half_zero; ring).
  assert (Fc : f c = f 0); [|unfold f in *; lra].
  destruct (total_order_T c 0) as [[H| ->]|H]; auto; [apply (eq_is_derive f); auto|symmetry; apply (eq_is_derive f); auto].
Qed.

(** ** One component *)

(** The mean of [|exp(s x + c) - 1|] *)
Definition apart (s c : R) : R := 2 / Z * (exp (c + s ^ 2 / 2) * half ((c + s ^ 2) / s) - half (c / s)).

Lemma tame_apart b c : tame 1 (fun u => Rabs (exp (b * u 0%nat + c) - 1)).
Proof. apply (tame_abs 1 (fun u => exp (b * u 0%nat + c) - 1)), (tame_minus 1 (fun u => exp (b * u 0%nat + c))); [apply tame_exp, lip_line|apply tame_const]. Qed.

Lemma apart_line s c : 0 < s -> E1 (fun x => Rabs (exp (s * x + c) - 1)) = apart s c.
Proof.
  intros Hs. set (e := exp (c + s ^ 2 / 2)). set (A := fun x => e * half (x - s) - half x). set (f := fun x => Rabs (exp (s * x + c) - 1) * w x).
  assert (He : 0 < e) by apply exp_pos. assert (Ad : adm f) by (apply (tame1_adm (fun x => Rabs (exp (s * x + c) - 1))), tame1_of, tame_apart).
  assert (D : forall x, is_derive A x ((exp (s * x + c) - 1) * w x)).
  { intros x. replace ((exp (s * x + c) - 1) * w x) with (e * w (x - s) - w x).
    - apply (is_derive_minus (K := R_AbsRing) (V := R_NormedModule) (fun x => e * half (x - s)) half); [|apply half_derive].
      apply (is_derive_scal (fun x => half (x - s))). replace (w (x - s)) with (1 * w (x - s)) by ring.
      apply (is_derive_comp (K := R_AbsRing) (V := R_NormedModule) half (fun x => x - s) x); [apply half_derive|]. auto_derive; auto.
    - rewrite Rmult_minus_distr_r, Rmult_1_l. f_equal. unfold e, w. rewrite <- !exp_plus. f_equal. field. }
  assert (Cont : forall x, continuous (fun x => (exp (s * x + c) - 1) * w x) x).
  { intros x. apply (ex_derive_continuous (fun x => (exp (s * x + c) - 1) * w x)). unfold w. auto_derive. auto. }
  set (y0 := - (c / s)). assert (Ey : s * y0 + c = 0) by (unfold y0; field; lra).
  assert (Up : forall b, y0 <= b -> RInt f y0 b = A b - A y0).
  { intros b Hb. apply (is_RInt_unique (V := R_CompleteNormedModule)). apply (is_RInt_ext (V := R_NormedModule) (fun x => (exp (s * x + c) - 1) * w x)).
    - intros x Hx. rewrite Rmin_left, Rmax_right in Hx by lra. unfold f. rewrite Rabs_right; auto. assert (1 <= exp (s * x + c)); [|lra]. rewrite <- exp_0. apply exp_le_mono. nra.
    - apply (is_RInt_derive A (fun x => (exp (s * x + c) - 1) * w x)); intros x _; [apply D|apply Cont]. }
  assert (Lo : forall a, a <= y0 -> RInt f a y0 = A a - A y0).
  { intros a Ha. replace (A a - A y0) with (- (A y0 - A a)) by ring. apply (is_RInt_unique (V := R_CompleteNormedModule)).
    apply (is_RInt_ext (V := R_NormedModule) (fun x => opp ((exp (s * x + c) - 1) * w x))).
    - intros x Hx. rewrite Rmin_left, Rmax_right in Hx by lra. unfold f, opp. simpl. rewrite Rabs_left1; [ring|]. assert (exp (s * x + c) <= 1); [|lra]. rewrite <- exp_0. apply exp_le_mono. nra.
    - apply (is_RInt_opp (V := R_NormedModule) (fun x => (exp (s * x + c) - 1) * w x)). apply (is_RInt_derive A (fun x => (exp (s * x + c) - 1) * w x)); intros x _; [apply D|apply Cont]. }
  assert (I : RI f = - 2 * A y0).
  { apply RI_unique. apply is_lim_seq_spec. intros eps.
    set (K := e * s * exp (1 / 2 + s)). assert (HK : 0 <= K) by (unfold K; pose proof (exp_pos (1 / 2 + s)); apply Rmult_le_pos; [nra|lra]).
    destruct (exp_neg_small K HK eps (cond_pos eps)) as [N HN]. destruct (nfloor_ex (Rabs y0 + s)) as [N' [_ HN']]; [pose proof (Rabs_pos y0); lra|].
    exists (Nat.max N (S N')). intros k Hk. assert (H1 : INR N <= INR k) by (apply le_INR; lia). assert (H2 : INR (S N') <= INR k) by (apply le_INR; lia). rewrite S_INR in H2.
    pose proof (Rle_abs y0). pose proof (Rle_abs (- y0)). rewrite Rabs_Ropp in *.
    assert (Ex : forall a b, ex_RInt (V := R_NormedModule) f a b) by (intros; apply cont_ex_RInt, Ad).
    rewrite <- (RInt_Chasles (V := R_CompleteNormedModule) f (- INR k) y0 (INR k)) by auto. rewrite Up, Lo by lra. unfold plus. simpl.
    match goal with |- Rabs ?X < _ => replace X with (- e * (half (INR k + s) - half (INR k - s))) end.
    2:{ unfold A. replace (- INR k - s) with (- (INR k + s)) by ring. rewrite !half_opp. ring. }
    destruct (half_mvt (INR k - s) (INR k + s)) as (z & Hz & ->). rewrite Rmin_left, Rmax_right in Hz by lra.
    replace (INR k + s - (INR k - s)) with (2 * s) by ring. rewrite Rabs_mult, Rabs_Ropp, (Rabs_right e) by lra. pose proof (w_pos z) as Wz.
    rewrite (Rabs_right (w z * (2 * s))) by nra. eapply Rle_lt_trans; [|exact HN].
    assert (Wb : w z <= exp (1 / 2 + s) * exp (- INR N)).
    { pose proof (w_dom 0 z) as X. rewrite Rmult_0_l, exp_0, Rmult_1_l in X. eapply Rle_trans; [exact X|]. rewrite <- !exp_plus. apply exp_le_mono. rewrite (Rabs_right z) by (pose proof (Rabs_pos y0); lra). lra. }
    unfold K. replace (2 * (e * s * exp (1 / 2 + s)) * exp (- INR N)) with (e * (exp (1 / 2 + s) * exp (- INR N) * (2 * s))) by ring.
    apply Rmult_le_compat_l; [lra|]. apply Rmult_le_compat_r; lra. }
  unfold E1. fold f. rewrite I. unfold A, apart, y0. fold e. replace (- (c / s) - s) with (- ((c + s ^ 2) / s)) by (field; lra). rewrite !half_opp. pose proof Z_pos. field. lra.
Qed.

Lemma apart_signed b c : b <> 0 -> E1 (fun x => Rabs (exp (b * x + c) - 1)) = apart (Rabs b) c.
Proof.
  intros Hb. destruct (Rlt_le_dec b 0) as [L|L].
  - rewrite Rabs_left by auto. rewrite <- apart_line by lra. rewrite <- (E1_opp (fun x => Rabs (exp (- b * x + c) - 1))).
    + f_equal. apply functional_extensionality. intros x. do 4 f_equal. ring.
    + apply tame1_of, tame_apart.
    + rewrite (functional_extensionality _ (fun x => Rabs (exp (b * x + c) - 1))); [apply tame1_of, tame_apart|]. intros x. do 4 f_equal. ring.
  - rewrite Rabs_right by lra. apply apart_line. lra.
Qed.

Lemma apart_merged b s c : 0 < s -> E1 (fun x => apart s (b * x + c)) = apart (sqrt (s ^ 2 + b ^ 2)) c.
Proof.
  intros Hs. set (N := sqrt (s ^ 2 + b ^ 2)). assert (HN2 : 0 < s ^ 2 + b ^ 2) by (pose proof (pow2_gt_0 s ltac:(lra)); pose proof (pow2_ge_0 b); lra).
  assert (HN : N ^ 2 = s ^ 2 + b ^ 2) by (unfold N; apply pow2_sqrt; lra).
  set (h := fun x => half ((b * x + (c + s ^ 2)) / s)).
  assert (Te : tame1 (fun x => exp (b * x - b ^ 2 / 2) * h x)).
  { apply tame1_of. apply (tame_mult 1 (fun u => exp (b * u 0%nat - b ^ 2 / 2)) (fun u => half ((b * u 0%nat + (c + s ^ 2)) / s))); [apply tame_exp, (lip_line b (- (b ^ 2 / 2)))|apply tame_half_line]. }
  assert (Th : tame1 (fun x => half ((b * x + c) / s))) by apply tame1_of, tame_half_line.
  rewrite (functional_extensionality (fun x => apart s (b * x + c)) (fun x => 2 / Z * exp (c + N ^ 2 / 2) * (exp (b * x - b ^ 2 / 2) * h x) + - (2 / Z) * half ((b * x + c) / s))).
  - rewrite E1_plus, !E1_scal, E1_translate by (auto; apply tame1_scal; auto). unfold h.
    rewrite (functional_extensionality (fun x => half ((b * (x + b) + (c + s ^ 2)) / s)) (fun x => half ((b * x + (c + N ^ 2)) / s))) by (intros x; f_equal; rewrite HN; field; lra).
    change (2 / Z * exp (c + N ^ 2 / 2) * merged b s (c + N ^ 2) + - (2 / Z) * merged b s c = apart N c). rewrite !merged_value by auto. fold N. unfold apart. ring.
  - intros x. unfold apart, h. replace (exp (b * x + c + s ^ 2 / 2)) with (exp (c + N ^ 2 / 2) * exp (b * x - b ^ 2 / 2)) by (rewrite <- exp_plus; f_equal; rewrite HN; field).
    replace (b * x + c + s ^ 2) with (b * x + (c + s ^ 2)) by ring. ring.
Qed.

Lemma sq_zero d m : sq d m = 0 -> forall k, (k < d)%nat -> m k = 0.
Proof.
  intros H k Hk. assert (m k * m k <= sq d m) by (apply (sumn_term d (fun k => m k * m k)); auto; intros; apply Rle_0_sqr). nra.
Qed.

Lemma apart_dim d m : forall c, 0 < sq d m -> E d (fun u => Rabs (exp (dot d m u + c) - 1)) = apart (sqrt (sq d m)) c.
Proof.
  induction d; intros c Hm; [unfold sq, dot in Hm; simpl in Hm; lra|].
  assert (ES : sq (S d) m = sq d m + m d ^ 2) by (unfold sq, dot; simpl; ring).
  cbn [E]. pose proof (sq_nonneg d m) as H0. destruct (Req_dec (sq d m) 0) as [Z0|Hne].
  - rewrite (functional_extensionality _ (fun x => Rabs (exp (m d * x + c) - 1))).
    + rewrite ES, Z0, Rplus_0_l in *. rewrite apart_signed by (intros Y; rewrite Y in Hm; lra). f_equal. rewrite <- sqrt_Rsqr_abs. f_equal. unfold Rsqr. ring.
    + intros x. rewrite <- (E_const d (Rabs (exp (m d * x + c) - 1))). apply E_ext. intros u. do 4 f_equal. unfold dot. rewrite (upd_sum d (fun k z => m k * z)).
      rewrite sumn_zero; [ring|]. intros k Hk. rewrite (sq_zero d m Z0 k Hk). ring.
  - rewrite ES. rewrite <- (pow2_sqrt (sq d m)) by auto. rewrite <- apart_merged by (apply sqrt_lt_R0; lra). f_equal. apply functional_extensionality. intros x.
    rewrite <- IHd by lra. apply E_ext. intros u. do 3 f_equal. unfold dot. rewrite (upd_sum d (fun k z => m k * z)). ring.
Qed.

(** ** The bounds *)

Lemma tie_tv_shift r : Formulas.tv_shift r = 2 * half (Rabs r / 2) / sqrt (2 * PI).
Proof.
  unfold Formulas.tv_shift, Formulas.erf. set (x := sqrt 2 * Rabs r / 4). assert (S2 : 0 < sqrt 2) by (apply sqrt_lt_R0; lra). assert (SP : 0 < sqrt PI) by (apply sqrt_lt_R0, PI_RGT_0).
  assert (Q : sqrt 2 * sqrt 2 = 2) by (apply sqrt_sqrt; lra).
  pose proof (RInt_comp_lin (V := R_CompleteNormedModule) w (sqrt 2) 0 0 x ltac:(apply cont_ex_RInt, w_cont)) as L.
  replace (sqrt 2 * 0 + 0) with 0 in L by ring. replace (sqrt 2 * x + 0) with (Rabs r / 2) in L by (unfold x; replace (sqrt 2 * (sqrt 2 * Rabs r / 4)) with (sqrt 2 * sqrt 2 * Rabs r / 4) by field; rewrite Q; field).
  unfold half. rewrite <- L. rewrite (RInt_ext (V := R_CompleteNormedModule) (fun y => scal (sqrt 2) (w (sqrt 2 * y + 0))) (fun y => scal (sqrt 2) (exp (- (y * y))))).
  - rewrite (RInt_scal (V := R_CompleteNormedModule)).
    + unfold scal. simpl. unfold mult. simpl. rewrite sqrt_mult by (pose proof PI_RGT_0; lra). field. split; lra.
    + apply cont_ex_RInt. intros y. apply (ex_derive_continuous (fun y => exp (- (y * y)))). auto_derive. auto.
  - intros y _. f_equal. unfold w. do 2 f_equal. replace ((sqrt 2 * y + 0) ^ 2) with (sqrt 2 * sqrt 2 * (y * y)) by ring. rewrite Q. field.
Qed.

Lemma tie_tv_trace_bound g t : 0 <= g * t -> Formulas.tv_trace_bound g t = sqrt (g * t) / sqrt (2 * PI).
Proof.
  intros H. unfold Formulas.tv_trace_bound. rewrite (sqrt_mult 2 PI) by (pose proof PI_RGT_0; lra). assert (S2 : 0 < sqrt 2) by (apply sqrt_lt_R0; lra). assert (SP : 0 < sqrt PI) by (apply sqrt_lt_R0, PI_RGT_0).
  assert (Q : sqrt 2 * sqrt 2 = 2) by (apply sqrt_sqrt; lra). apply Rmult_eq_reg_r with (2 * sqrt PI * sqrt 2); [|nra].
  replace (sqrt 2 * sqrt (g * t) / (2 * sqrt PI) * (2 * sqrt PI * sqrt 2)) with (sqrt 2 * sqrt 2 * sqrt (g * t)) by (field; lra). rewrite Q. field. lra.
Qed.

(** The total variation of two unit Gaussians with means m and 0, in any dimension *)
Theorem B3_tv_component d m : E d (fun u => Rabs (ratio d m u - 1)) / 2 = Formulas.tv_shift (vnorm d m).
Proof.
  rewrite tie_tv_shift, (Rabs_right (vnorm d m)) by (apply Rle_ge, norm_nonneg). pose proof (sq_nonneg d m) as H0. destruct (Req_dec (sq d m) 0) as [Z0|Hne].
  - unfold vnorm. rewrite Z0, sqrt_0. replace (0 / 2) with 0 by field. rewrite half_zero.
    rewrite (E_ext d _ (fun _ => 0)); [rewrite E_const; unfold Rdiv; ring|]. intros u. unfold ratio. rewrite Z0. replace (dot d m u) with 0.
    + rewrite exp_zero by field. replace (1 - 1) with 0 by ring. apply Rabs_R0.
    + symmetry. apply sumn_zero. intros k Hk. rewrite (sq_zero d m Z0 k Hk). ring.
  - assert (Hs : 0 < vnorm d m) by (apply sqrt_lt_R0; lra). assert (Es : vnorm d m ^ 2 = sq d m) by (apply pow2_sqrt; auto).
    rewrite (E_ext d _ (fun u => Rabs (exp (dot d m u + - (sq d m / 2)) - 1))) by (intros; unfold ratio; do 4 f_equal; field).
    rewrite apart_dim by lra. change (sqrt (sq d m)) with (vnorm d m). unfold apart. rewrite <- gauss_integral, Es. set (v := vnorm d m) in *.
    rewrite (exp_zero (- (sq d m / 2) + sq d m / 2)) by ring. rewrite <- Es.
    replace ((- (v ^ 2 / 2) + v ^ 2) / v) with (v / 2) by (field; lra). replace (- (v ^ 2 / 2) / v) with (- (v / 2)) by (field; lra). rewrite half_opp. pose proof Z_pos. field. lra.
Qed.

Section All_finite_laws.
Variables (d n : nat) (p : nat -> R) (y : nat -> vec) (g : R).
Hypothesis Hw : weights n p.
Hypothesis Hg : 0 <= g.
Notation xi_ := (xi n p y).
Notation m := (shift n p y g).
Notation T := (trC d n p y).
Let Hp := proj1 Hw.
Let Hsum := proj2 Hw.

(** [E[2 Phi(sqrt(g) |xi|/2) - 1]] *)
Definition tv_norm : R := sumn n (fun i => p i * Formulas.tv_shift (sqrt g * vnorm d (xi_ i))).

Theorem B3_tv_norm : TV d n p m <= tv_norm.
Proof.
  assert (Te : forall i, tame d (fun u => Rabs (ratio d (m i) u - 1))) by (intros i; apply (tame_abs d (fun u => ratio d (m i) u - 1)), (tame_minus d (ratio d (m i))); [apply tame_ratio|apply tame_const]).
  apply Rle_trans with (E d (fun u => sumn n (fun i => p i * Rabs (ratio d (m i) u - 1))) / 2).
  - unfold TV. apply Rmult_le_compat_r; [lra|]. apply E_le.
    + apply (tame_abs d (fun u => mix d n p m u - 1)), (tame_minus d (mix d n p m)); [apply tame_mix|apply tame_const].
    + apply tame_sum. intros. apply tame_scal. auto.
    + intros u. replace (mix d n p m u - 1) with (sumn n (fun i => p i * (ratio d (m i) u - 1))).
      * eapply Rle_trans; [apply sumn_abs|]. apply sumn_le. intros i Hi. rewrite Rabs_mult, (Rabs_right (p i)) by (apply Rle_ge; auto). lra.
      * rewrite (sumn_ext n _ (fun i => p i * ratio d (m i) u - p i)) by (intros; ring). rewrite sumn_minus, Hsum. reflexivity.
  - right. rewrite (E_sum d n (fun i u => p i * Rabs (ratio d (m i) u - 1))) by (intros; apply tame_scal; auto). unfold Rdiv, tv_norm. rewrite <- sumn_scal_r. apply sumn_ext. intros i _.
    rewrite E_scal by auto. pose proof (B3_tv_component d (m i)) as C. unfold shift in C at 2. rewrite norm_scal, (Rabs_right (sqrt g)) in C by (apply Rle_ge, sqrt_pos). rewrite <- C. field.
Qed.

Lemma mean_norm : sumn n (fun i => p i * vnorm d (xi_ i)) <= sqrt T.
Proof.
  set (a := sumn n (fun i => p i * vnorm d (xi_ i))). assert (Ha : 0 <= a) by (apply sumn_nonneg; intros; apply Rmult_le_pos; auto; apply norm_nonneg).
  rewrite <- (sqrt_pow2 a) by auto. apply sqrt_le_1_alt. assert (V : 0 <= sumn n (fun i => p i * (vnorm d (xi_ i) - a) ^ 2)) by (apply sumn_nonneg; intros; apply Rmult_le_pos; auto; apply pow2_ge_0).
  rewrite (sumn_ext n _ (fun i => p i * sq d (xi_ i) - 2 * a * (p i * vnorm d (xi_ i)) + a ^ 2 * p i)) in V by (intros; rewrite <- norm_sq; ring).
  rewrite sumn_plus, sumn_minus, !sumn_scal, Hsum in V. fold a in V. fold (trC d n p y) in V. lra.
Qed.

Theorem B3_tv_trace : tv_norm <= Formulas.tv_trace_bound g T.
Proof.
  assert (HT : 0 <= T) by (apply trC_nonneg; auto). assert (SP : 0 < sqrt (2 * PI)) by (apply sqrt_lt_R0; pose proof PI_RGT_0; lra). pose proof (sqrt_pos g) as Sg.
  rewrite tie_tv_trace_bound by (apply Rmult_le_pos; auto). rewrite sqrt_mult by auto.
  apply Rle_trans with (sqrt g / sqrt (2 * PI) * sumn n (fun i => p i * vnorm d (xi_ i))).
  - rewrite <- sumn_scal. apply sumn_le. intros i Hi. rewrite tie_tv_shift. pose proof (norm_nonneg d (xi_ i)) as Nn.
    assert (P : 0 <= sqrt g * vnorm d (xi_ i)) by (apply Rmult_le_pos; auto). rewrite (Rabs_right (sqrt g * vnorm d (xi_ i))) by lra. pose proof (half_le (sqrt g * vnorm d (xi_ i) / 2) ltac:(lra)) as Hl.
    replace (sqrt g / sqrt (2 * PI) * (p i * vnorm d (xi_ i))) with (p i * (sqrt g * vnorm d (xi_ i) / sqrt (2 * PI))) by (field; lra).
    apply Rmult_le_compat_l; auto. apply Rmult_le_compat_r; [left; apply Rinv_0_lt_compat; auto|lra].
  - replace (sqrt g * sqrt T / sqrt (2 * PI)) with (sqrt g / sqrt (2 * PI) * sqrt T) by (field; lra). apply Rmult_le_compat_l; [apply Rdiv_le_0_compat; auto|apply mean_norm].
Qed.

Theorem B3_tv_chain : Formulas.tv_trace_bound g T <= Formulas.tv_pinsker_bound g T.
Proof.
  assert (HT : 0 <= g * T) by (apply Rmult_le_pos; auto; apply trC_nonneg; auto). rewrite tie_tv_trace_bound, tie_tv_pinsker_bound by auto. pose proof (sqrt_pos (g * T)).
  apply Rmult_le_compat_l; auto. apply Rinv_le_contravar; [lra|]. interval.
Qed.
End All_finite_laws.
