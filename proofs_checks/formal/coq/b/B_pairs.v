(** B, continued: bounds from pairs of points (B9, B10) and on total variation (B12), for every finite law. *)

From Coq Require Import Reals Lra Lia Psatz FunctionalExtensionality.
From Coquelicot Require Import Coquelicot.
From Singdiffusion Require Import Base Gaussian Space Scale Mixture Divergence Formulas B.
Local Open Scope R_scope.

Section All_finite_laws.
Variables (d n : nat) (p : nat -> R) (y : nat -> vec) (g : R).
Hypothesis Hw : weights n p.
Hypothesis Hg : 0 <= g.
Notation m := (shift n p y g).
Notation P_KL := (KL d n p m).
Notation P_TV := (TV d n p m).
Notation T := (trC d n p y).

Let Hp := proj1 Hw.
Let Hsum := proj2 Hw.
Let Hgg : sqrt g * sqrt g = g. Proof. apply sqrt_sqrt; auto. Qed.

(** ** B10. One family that contains B2 and B9

    Coordinates are along the eigenvectors of S, which need not be those of the covariance: [lam k] is its k-th diagonal entry, and S is any
    diagonal matrix with [S > - I]. Where an entry is negative, [exp (- S u^2/2)] grows faster than anything that is integrated here, so there the
    coordinate is stretched first, [u = k v] with [k^2 = 1/(1 + S)], which takes just this growth away. *)

Definition wide (s : R) : R := if Rlt_dec s 0 then / sqrt (1 + s) else 1.
Definition positive (s : R) : R := if Rlt_dec s 0 then 0 else s.

Lemma wide_ge s : -1 < s -> 1 <= wide s.
Proof.
  intros Hs. unfold wide. destruct (Rlt_dec s 0); [|lra]. rewrite <- Rinv_1. apply Rinv_le_contravar; [apply sqrt_lt_R0; lra|].
  rewrite <- sqrt_1 at 2. apply sqrt_le_1_alt. lra.
Qed.

Lemma positive_ge s : 0 <= positive s.
Proof. unfold positive. destruct (Rlt_dec s 0); lra. Qed.

Lemma wide_sq s : -1 < s -> wide s ^ 2 = (1 + positive s) / (1 + s).
Proof.
  intros Hs. unfold wide, positive. destruct (Rlt_dec s 0); [|field; lra].
  rewrite pow_inv, pow2_sqrt by lra. field. lra.
Qed.

Lemma wide_root s : -1 < s -> wide s / sqrt (1 + positive s) = / sqrt (1 + s).
Proof.
  intros Hs. unfold wide, positive. destruct (Rlt_dec s 0).
  - rewrite Rplus_0_r, sqrt_1. field. apply Rgt_not_eq, sqrt_lt_R0. lra.
  - field. apply Rgt_not_eq, sqrt_lt_R0. lra.
Qed.

(** Jensen under a component, with a tilt l, after coordinates are stretched: E_i ln W <= E_i l + ln E_i (W exp(-l)) *)
Lemma jensen_stretched b i (l : vec -> R) (k : vec) : (forall j, (j < d)%nat -> 1 <= k j) -> tame d l ->
  let Z := fun v => exp (- l (stretch k v)) * W d n p m b (stretch k v) * ratio d (m i) (stretch k v) * jac d k v in tame d Z ->
  E d (fun u => ratio d (m i) u * ln (W d n p m b u)) <= E d (fun u => ratio d (m i) u * l u) + ln (E d Z).
Proof.
  intros Hk Tl Z TZ. set (c := E d Z).
  assert (TW : tame d (fun u => ratio d (m i) u * ln (W d n p m b u))) by (apply tame_mult; [apply tame_ratio|apply tame_ln_W; auto]).
  assert (TL : tame d (fun u => ratio d (m i) u * l u)) by (apply tame_mult; [apply tame_ratio|auto]).
  assert (TJ := tame_jac d k Hk).
  assert (Ts : forall f, tame d f -> tame d (fun v => f (stretch k v) * jac d k v)) by (intros f Tf; apply (tame_mult d (fun v => f (stretch k v))); auto; apply tame_stretch; auto).
  assert (Jp : forall v, 0 < jac d k v).
  { intros v. apply Rmult_lt_0_compat; [|apply exp_pos]. apply prodn_pos. intros j Hj. specialize (Hk j Hj). lra. }
  assert (ZP : forall v, 0 < Z v).
  { intros v. unfold Z. apply Rmult_lt_0_compat; [|apply Jp]. apply Rmult_lt_0_compat; [|apply ratio_pos]. apply Rmult_lt_0_compat; [apply exp_pos|apply W_pos; auto]. }
  assert (H : forall h, 0 < h -> E d (fun u => ratio d (m i) u * ln (W d n p m b u)) <= E d (fun u => ratio d (m i) u * l u) + (ln h - 1 + c / h)).
  { intros h Hh.
    apply Rle_trans with (E d (fun v => ratio d (m i) (stretch k v) * l (stretch k v) * jac d k v + ((ln h - 1) * (ratio d (m i) (stretch k v) * jac d k v) + / h * Z v))).
    - rewrite <- (E_stretch d k _ Hk TW). apply E_le; [apply (Ts _ TW)| |].
      + apply (tame_plus d (fun v => ratio d (m i) (stretch k v) * l (stretch k v) * jac d k v)); [apply (Ts _ TL)|].
        apply tame_plus; apply tame_scal; auto. apply (Ts _ (tame_ratio d (m i))).
      + intros v. set (u := stretch k v). unfold Z. fold u.
        pose proof (Rmult_lt_0_compat _ _ (ratio_pos d (m i) u) (Jp v)) as Q. pose proof (W_pos d n p Hw m b u). pose proof (exp_pos (- l u)).
        assert (L : ln (exp (- l u) * W d n p m b u / h) <= exp (- l u) * W d n p m b u / h - 1) by (apply ln_le_sub, Rdiv_lt_0_compat; auto; apply Rmult_lt_0_compat; auto).
        rewrite ln_div, ln_mult, ln_exp in L; auto; [|apply Rmult_lt_0_compat; auto]. apply Rmult_le_compat_l with (r := ratio d (m i) u * jac d k v) in L; [|lra].
        unfold Rdiv in L. lra.
    - rewrite E_plus, E_plus, !E_scal; auto; try (apply tame_scal; auto); try (apply (Ts _ (tame_ratio d (m i)))); try (apply (Ts _ TL)).
      + rewrite (E_stretch d k _ Hk TL), (E_stretch d k _ Hk (tame_ratio d (m i))), E_ratio. fold c. right. field. lra.
      + apply tame_plus; apply tame_scal; auto; apply (Ts _ (tame_ratio d (m i))). }
  assert (Hc : 0 <= c).
  { unfold c. rewrite <- (E_const d 0). apply E_le; auto; [apply tame_const|]. intros v. left. apply ZP. }
  destruct Hc as [Hc|Hc].
  - specialize (H c Hc). replace (c / c) with 1 in H by (field; lra). lra.
  - (* c = 0 is impossible: the bound would fall below every number *)
    exfalso. set (A := E d (fun u => ratio d (m i) u * ln (W d n p m b u))) in *. set (B := E d (fun u => ratio d (m i) u * l u)) in *.
    specialize (H (exp (A - B)) (exp_pos _)). rewrite ln_exp in H. rewrite <- Hc in H. unfold Rdiv in H. lra.
Qed.

Lemma dot_stretch k a v : dot d a (stretch k v) = dot d (stretch k a) v.
Proof. unfold dot, stretch. apply sumn_ext. intros; ring. Qed.

(** What stretching leaves of the quadratic part *)
Lemma quad_stretch S v : (forall j, (j < d)%nat -> -1 < S j) -> let k := fun j => wide (S j) in
  quad d S (stretch k v) + quad d (fun j => k j ^ 2 - 1) v = quad d (fun j => positive (S j)) v.
Proof.
  intros HS k. unfold quad. rewrite <- sumn_plus. apply sumn_ext. intros j Hj. specialize (HS j Hj). unfold stretch.
  replace (S j * (k j * v j) ^ 2 + (k j ^ 2 - 1) * v j ^ 2) with (((1 + S j) * k j ^ 2 - 1) * v j ^ 2) by ring.
  unfold k. rewrite wide_sq by auto. f_equal. field. lra.
Qed.

(** The exponent of a pair *)
Definition pair_exponent (b : R) (S : vec) (i j : nat) : R :=
  b ^ 2 * sumn d (fun k => (m i k + m j k) ^ 2 / (1 + S k)) / 2 - b * (sq d (m i) + sq d (m j)) / 2.

Definition family (b : R) (S : vec) : R :=
  (1 - b) * (g * T) + sumn d (fun k => Formulas.family_gauss_part (S k) (g * lam n p y k))
  + sumn n (fun i => p i * ln (sumn n (fun j => p j * exp (pair_exponent b S i j)))).

Lemma pair_sum_pos b S i : 0 < sumn n (fun j => p j * exp (pair_exponent b S i j)).
Proof.
  destruct (sumn_some_pos n p Hp) as (k & Hk & Hpk); [rewrite Hsum; lra|]. apply sumn_pos.
  - intros j Hj. apply Rmult_le_pos; auto. left; apply exp_pos.
  - exists k. split; auto. apply Rmult_lt_0_compat; auto. apply exp_pos.
Qed.

Theorem B10_family b S : (forall k, (k < d)%nat -> -1 < S k) -> P_KL <= family b S.
Proof.
  intros HS. eapply Rle_trans; [apply (kl_beta d n p Hw m b)|].
  set (L := sumn d (fun k => ln (1 + S k)) / 2).
  assert (Bi : forall i, (i < n)%nat -> E d (fun u => ratio d (m i) u * ln (W d n p m b u))
     <= sumn d (fun k => S k * (1 + m i k ^ 2)) / 2 + (1 - b) * sq d (m i)
        + (- (1 - b) / 2 * sq d (m i) - L + ln (sumn n (fun j => p j * exp (pair_exponent b S i j))))).
  { intros i Hi. set (l := fun u => quad d S u / 2 + (1 - b) * dot d (m i) u).
    set (c := - (1 - b) / 2 * sq d (m i) - L). set (k := fun j => wide (S j)). set (S' := fun j => positive (S j)).
    assert (Hk : forall j, (j < d)%nat -> 1 <= k j) by (intros; apply wide_ge; auto).
    assert (HS' : forall j, (j < d)%nat -> 0 <= S' j) by (intros; apply positive_ge).
    set (term := fun j v => p j * (exp (- b * sq d (m j) / 2 - sq d (m i) / 2) * prodn d k) * exp (dot d (stretch k (vscal b (vplus (m i) (m j)))) v - quad d S' v / 2)).
    assert (X : forall v, exp (- l (stretch k v)) * W d n p m b (stretch k v) * ratio d (m i) (stretch k v) * jac d k v = sumn n (fun j => term j v)).
    { intros v. unfold W, ratio, jac. rewrite <- sumn_scal, <- !sumn_scal_r. apply sumn_ext. intros j _. set (u := stretch k v).
      replace (exp (- l u) * (p j * exp (b * (dot d (m j) u - sq d (m j) / 2))) * exp (dot d (m i) u - sq d (m i) / 2) * (prodn d k * exp (- (quad d (fun j0 => k j0 ^ 2 - 1) v / 2))))
        with (p j * prodn d k * (exp (- l u) * exp (b * (dot d (m j) u - sq d (m j) / 2)) * exp (dot d (m i) u - sq d (m i) / 2) * exp (- (quad d (fun j0 => k j0 ^ 2 - 1) v / 2)))) by ring.
      unfold term. replace (p j * (exp (- b * sq d (m j) / 2 - sq d (m i) / 2) * prodn d k) * exp (dot d (stretch k (vscal b (vplus (m i) (m j)))) v - quad d S' v / 2))
        with (p j * prodn d k * (exp (- b * sq d (m j) / 2 - sq d (m i) / 2) * exp (dot d (stretch k (vscal b (vplus (m i) (m j)))) v - quad d S' v / 2))) by ring.
      assert (Q : quad d S u + quad d (fun j0 => k j0 ^ 2 - 1) v = quad d S' v) by (apply (quad_stretch S v HS)).
      rewrite <- !exp_plus. do 2 f_equal. rewrite <- dot_stretch. fold u. rewrite <- Q. unfold l. rewrite dot_scal_l, dot_plus_l. field. }
    assert (Tt : tame d (fun v => exp (- l (stretch k v)) * W d n p m b (stretch k v) * ratio d (m i) (stretch k v) * jac d k v)).
    { rewrite (functional_extensionality _ _ X). apply (tame_sum d n term). intros. apply tame_scal, tame_gauss. auto. }
    assert (Tl : tame d l).
    { apply (tame_plus d (fun u => quad d S u / 2)); [|apply tame_scal, tame_dot].
      replace (fun u => quad d S u / 2) with (fun u => / 2 * quad d S u) by (apply functional_extensionality; intros; field). apply tame_scal, tame_quad. }
    eapply Rle_trans; [apply (jensen_stretched b i l k Hk Tl Tt)|].
    apply Rplus_le_compat; right.
    - unfold l. rewrite (E_ext d _ (fun u => / 2 * (ratio d (m i) u * quad d S u) + (1 - b) * (ratio d (m i) u * dot d (m i) u))) by (intros; field).
      assert (tame d (fun u => ratio d (m i) u * quad d S u)) by (apply tame_mult; [apply tame_ratio|apply tame_quad]).
      assert (tame d (fun u => ratio d (m i) u * dot d (m i) u)) by (apply tame_mult; [apply tame_ratio|apply tame_dot]).
      rewrite E_plus, !E_scal, E_ratio_quad, E_ratio_dot; auto; try (apply tame_scal; auto). unfold sq. field.
    - rewrite (E_ext d _ _ X). rewrite (E_sum d n term) by (intros; apply tame_scal, tame_gauss; auto).
      rewrite (sumn_ext n _ (fun j => exp c * (p j * exp (pair_exponent b S i j)))).
      + rewrite sumn_scal, ln_mult, ln_exp; [auto|apply exp_pos|apply pair_sum_pos].
      + intros j _. unfold term. rewrite E_scal by (apply tame_gauss; auto). rewrite E_mgf by auto.
        replace (p j * (exp (- b * sq d (m j) / 2 - sq d (m i) / 2) * prodn d k) * prodn d (fun q => exp (stretch k (vscal b (vplus (m i) (m j))) q ^ 2 / (2 * (1 + S' q))) / sqrt (1 + S' q)))
          with (p j * exp (- b * sq d (m j) / 2 - sq d (m i) / 2) * prodn d (fun q => k q * (exp (stretch k (vscal b (vplus (m i) (m j))) q ^ 2 / (2 * (1 + S' q))) / sqrt (1 + S' q))))
          by (rewrite prodn_mult; ring).
        rewrite (prodn_ext d _ (fun q => exp (b ^ 2 / 2 * ((m i q + m j q) ^ 2 / (1 + S q)) - / 2 * ln (1 + S q)))).
        * rewrite prodn_exp, sumn_minus, !sumn_scal. replace (exp c * (p j * exp (pair_exponent b S i j))) with (p j * (exp c * exp (pair_exponent b S i j))) by ring.
          rewrite (Rmult_assoc (p j) (exp _) (exp _)), <- !exp_plus. do 2 f_equal. unfold c, pair_exponent, L. field.
        * intros q Hq. specialize (HS q Hq). specialize (HS' q Hq). unfold stretch, vscal, vplus. unfold Rminus. rewrite exp_plus, exp_Ropp, exp_half_ln by lra.
          rewrite <- (wide_root (S q)) by auto. fold (S' q). fold (k q).
          replace ((k q * (b * (m i q + m j q))) ^ 2 / (2 * (1 + S' q))) with (b ^ 2 / 2 * (m i q + m j q) ^ 2 * (k q ^ 2) / (1 + S' q)) by (field; lra).
          unfold k. rewrite wide_sq by auto. fold (S' q).
          replace (b ^ 2 / 2 * (m i q + m j q) ^ 2 * ((1 + S' q) / (1 + S q)) / (1 + S' q)) with (b ^ 2 / 2 * ((m i q + m j q) ^ 2 / (1 + S q))) by (field; lra).
          unfold Rdiv. ring. }
  apply Rle_trans with ((1 - b) * sumn n (fun i => p i * sq d (m i)) / 2 + sumn n (fun i => p i *
        (sumn d (fun k => S k * (1 + m i k ^ 2)) / 2 + (1 - b) * sq d (m i)
        + (- (1 - b) / 2 * sq d (m i) - L + ln (sumn n (fun j => p j * exp (pair_exponent b S i j))))))).
  - apply Rplus_le_compat_l, sumn_le. intros i Hi. apply Rmult_le_compat_l; auto.
  - right. unfold family. rewrite (sum_sq_shift d n p y g Hg).
    rewrite (sumn_ext n _ (fun i => / 2 * (p i * sumn d (fun k => S k * (1 + m i k ^ 2))) + (1 - b) / 2 * (p i * sq d (m i)) - L * p i
       + p i * ln (sumn n (fun j => p j * exp (pair_exponent b S i j))))) by (intros; field).
    rewrite sumn_plus, sumn_minus, sumn_plus, !sumn_scal, Hsum, (second_moments d n p y g Hw Hg), (sum_sq_shift d n p y g Hg).
    rewrite (sumn_ext d (fun k => Formulas.family_gauss_part (S k) (g * lam n p y k)) (fun k => / 2 * (S k * (1 + g * lam n p y k)) - / 2 * ln (1 + S k))).
    + rewrite sumn_minus, !sumn_scal. unfold L. field.
    + intros k _. rewrite tie_family_gauss_part. unfold family_part. field.
Qed.

(** The S that is run, [1 - 1/(1 + (2b-1)^2 g lam)] along every eigenvector, is such a one. *)
Theorem B10_shrinkage b : P_KL <= family b (fun k => Formulas.family_shrinkage b (g * lam n p y k)).
Proof.
  apply B10_family. intros k _. apply Rlt_le_trans with 0; [lra|]. rewrite tie_family_shrinkage.
  assert (H : 0 <= (2 * b - 1) ^ 2 * (g * lam n p y k)).
  { apply Rmult_le_pos; [apply pow2_ge_0|]. apply Rmult_le_pos; auto. apply (lam_nonneg n p y Hw). }
  assert (1 / (1 + (2 * b - 1) ^ 2 * (g * lam n p y k)) <= 1); [|lra].
  apply Rmult_le_reg_r with (1 + (2 * b - 1) ^ 2 * (g * lam n p y k)); [lra|]. unfold Rdiv. rewrite Rmult_assoc, Rinv_l; lra.
Qed.

(** ** B9. Two-sided bounds from pairwise distances *)

Definition pairs (rate : R) : R :=
  sumn n (fun i => p i * ln (sumn n (fun j => p j * exp (- (g * dist2 d (y i) (y j) / rate))))).

Lemma sq_shift_minus i j : sq d (vminus (m i) (m j)) = g * dist2 d (y i) (y j).
Proof.
  unfold dist2. transitivity (sq d (vscal (sqrt g) (vminus (y i) (y j)))).
  - unfold sq, dot. apply sumn_ext. intros; unfold shift, vscal, vminus, xi, vminus; ring.
  - rewrite sq_scal, Hgg. auto.
Qed.

Theorem B9_upper : P_KL <= Formulas.kl_trace_bound g T + pairs 8.
Proof.
  eapply Rle_trans; [apply (B10_family (/ 2) (fun _ => 0)); intros; lra|]. right. unfold family, pairs.
  rewrite (sumn_zero d) by (intros; rewrite tie_family_gauss_part; unfold family_part; rewrite Rplus_0_r, ln_1; field).
  rewrite tie_kl_trace_bound. unfold kl_trace. f_equal; [field|].
  apply sumn_ext. intros i _. do 2 f_equal. apply sumn_ext. intros j _. do 2 f_equal.
  unfold pair_exponent. rewrite (sumn_ext d _ (fun k => (vplus (m i) (m j)) k * (vplus (m i) (m j)) k)).
  - fold (dot d (vplus (m i) (m j)) (vplus (m i) (m j))). fold (sq d (vplus (m i) (m j))).
    rewrite <- sq_shift_minus, sq_plus, sq_minus. field.
  - intros k _. unfold vplus. field.
Qed.

Theorem B9_lower : Formulas.kl_trace_bound g T + pairs 2 <= P_KL.
Proof.
  assert (Hi : forall i, (i < n)%nat -> sq d (m i) / 2 + ln (sumn n (fun j => p j * exp (- (g * dist2 d (y i) (y j) / 2))))
                 <= E d (fun u => ratio d (m i) u * ln (mix d n p m u))).
  { intros i Hi. set (a := fun j => dot d (m i) (m j) - sq d (m j) / 2).
    assert (Ea : forall j, E d (fun u => ratio d (m i) u * ln (ratio d (m j) u)) = a j) by (intros; apply E_ratio_ln).
    set (S := sumn n (fun j => p j * exp (a j))).
    assert (HS : 0 < S).
    { destruct (sumn_some_pos n p Hp) as (k & Hk & Hpk); [rewrite Hsum; lra|]. apply sumn_pos.
      - intros j Hj. apply Rmult_le_pos; auto. left; apply exp_pos.
      - exists k. split; auto. apply Rmult_lt_0_compat; auto. apply exp_pos. }
    set (q := fun j => p j * exp (a j) / S).
    assert (Hq : forall j, (j < n)%nat -> 0 <= q j) by (intros; apply Rdiv_le_0_compat; auto; apply Rmult_le_pos; auto; left; apply exp_pos).
    assert (Hq1 : sumn n q = 1) by (unfold q; rewrite (sumn_ext n _ (fun j => p j * exp (a j) * / S)) by (intros; reflexivity); rewrite sumn_scal_r; fold S; field; lra).
    (* log-sum-exp lies above its tangent *)
    assert (Tg : forall u, ln S + sumn n (fun j => q j * (ln (ratio d (m j) u) - a j)) <= ln (mix d n p m u)).
    { intros u. assert (J := exp_jensen n q (fun j => ln (ratio d (m j) u) - a j) Hq Hq1).
      assert (Em : mix d n p m u = S * sumn n (fun j => q j * exp (ln (ratio d (m j) u) - a j))).
      { rewrite <- sumn_scal. unfold mix. apply sumn_ext. intros j _. unfold q, Rminus. rewrite exp_plus, exp_ln by apply ratio_pos.
        rewrite exp_Ropp. field. split; [apply Rgt_not_eq, exp_pos|lra]. }
      rewrite Em. rewrite ln_mult; auto; [|eapply Rlt_le_trans; [apply exp_pos|exact J]].
      apply Rplus_le_compat_l. rewrite <- (ln_exp (sumn n _)). apply ln_le_mono; [apply exp_pos|exact J]. }
    assert (Tj : forall j, tame d (fun u => ratio d (m i) u * ln (ratio d (m j) u))).
    { intros. apply tame_mult; [apply tame_ratio|]. apply lip_tame.
      rewrite (functional_extensionality (fun u => ln (ratio d (m j) u)) (fun u => dot d (m j) u - sq d (m j) / 2)) by (intros; apply ln_ratio).
      apply lip_ratio_exponent. }
    assert (Ei : E d (fun u => ln S * ratio d (m i) u + sumn n (fun j => q j * (ratio d (m i) u * ln (ratio d (m j) u) - a j * ratio d (m i) u))) = ln S).
    { assert (Td : forall j, tame d (fun u => ratio d (m i) u * ln (ratio d (m j) u) - a j * ratio d (m i) u)) by (intros; apply tame_minus; auto; apply tame_scal, tame_ratio).
      rewrite E_plus, E_scal, E_ratio; try apply tame_ratio; try (apply tame_scal, tame_ratio).
      - rewrite (E_sum d n (fun j u => q j * (ratio d (m i) u * ln (ratio d (m j) u) - a j * ratio d (m i) u))) by (intros; apply tame_scal; auto).
        rewrite sumn_zero; [ring|]. intros j _. rewrite E_scal, E_minus, E_scal, E_ratio, Ea; auto; try apply tame_ratio; [ring|apply tame_scal, tame_ratio].
      - apply (tame_sum d n (fun j u => q j * (ratio d (m i) u * ln (ratio d (m j) u) - a j * ratio d (m i) u))). intros; apply tame_scal; auto. }
    replace (sq d (m i) / 2 + ln (sumn n (fun j => p j * exp (- (g * dist2 d (y i) (y j) / 2))))) with (ln S).
    - rewrite <- Ei. apply E_le.
      + apply tame_plus; [apply tame_scal, tame_ratio|].
        apply (tame_sum d n (fun j u => q j * (ratio d (m i) u * ln (ratio d (m j) u) - a j * ratio d (m i) u))). intros; apply tame_scal, tame_minus; auto. apply tame_scal, tame_ratio.
      + apply tame_mult; [apply tame_ratio|apply tame_ln_mix; auto].
      + intros u. rewrite (sumn_ext n _ (fun j => ratio d (m i) u * (q j * (ln (ratio d (m j) u) - a j)))) by (intros; ring).
        rewrite sumn_scal. specialize (Tg u). pose proof (ratio_pos d (m i) u).
        replace (ln S * ratio d (m i) u + ratio d (m i) u * sumn n (fun j => q j * (ln (ratio d (m j) u) - a j)))
          with (ratio d (m i) u * (ln S + sumn n (fun j => q j * (ln (ratio d (m j) u) - a j)))) by ring.
        apply Rmult_le_compat_l; lra.
    - unfold S. rewrite (sumn_ext n (fun j => p j * exp (a j)) (fun j => exp (sq d (m i) / 2) * (p j * exp (- (g * dist2 d (y i) (y j) / 2))))).
      + rewrite sumn_scal, ln_mult, ln_exp; auto; [apply exp_pos|].
        destruct (sumn_some_pos n p Hp) as (k & Hk & Hpk); [rewrite Hsum; lra|]. apply sumn_pos.
        * intros j Hj. apply Rmult_le_pos; auto. left; apply exp_pos.
        * exists k. split; auto. apply Rmult_lt_0_compat; auto. apply exp_pos.
      + intros j _. rewrite <- sq_shift_minus, sq_minus. replace (exp (sq d (m i) / 2) * (p j * exp (- ((sq d (m i) - 2 * dot d (m i) (m j) + sq d (m j)) / 2))))
          with (p j * (exp (sq d (m i) / 2) * exp (- ((sq d (m i) - 2 * dot d (m i) (m j) + sq d (m j)) / 2)))) by ring.
        rewrite <- exp_plus. do 2 f_equal. unfold a. field. }
  unfold KL. rewrite E_mix by (apply tame_ln_mix; auto). rewrite tie_kl_trace_bound. unfold kl_trace, pairs.
  rewrite <- (sum_sq_shift d n p y g Hg). unfold Rdiv at 1. rewrite <- sumn_scal_r, <- sumn_plus. apply sumn_le. intros i Hi'.
  replace (p i * sq d (m i) * / 2 + p i * ln (sumn n (fun j => p j * exp (- (g * dist2 d (y i) (y j) / 2)))))
    with (p i * (sq d (m i) / 2 + ln (sumn n (fun j => p j * exp (- (g * dist2 d (y i) (y j) / 2)))))) by field.
  apply Rmult_le_compat_l; auto.
Qed.

(** ** B12. Total variation: Pinsker, and Bretagnolle and Huber, with any upper bound U of KL, such as B10's *)

Theorem B12_pinsker U : P_KL <= U -> P_TV <= Formulas.tv_pinsker U.
Proof.
  intros HU. rewrite tie_tv_pinsker by (eapply Rle_trans; [apply (kl_nonneg d n p Hw)|exact HU]).
  eapply Rle_trans; [apply (tv_pinsker_kl d n p Hw)|]. apply sqrt_le_1_alt. lra.
Qed.

Theorem B12_bretagnolle_huber U : P_KL <= U -> P_TV <= Formulas.tv_bretagnolle_huber U.
Proof.
  intros HU. rewrite tie_tv_bretagnolle_huber. eapply Rle_trans; [apply (tv_bh_kl d n p Hw)|]. apply sqrt_le_1_alt.
  assert (exp (- U) <= exp (- P_KL)) by (apply exp_le_mono; lra). lra.
Qed.

End All_finite_laws.
